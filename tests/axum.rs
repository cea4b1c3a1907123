//! The HTTP service of the examples, as its clients see it: overload is 503, a missed deadline 504, and SIGTERM drains.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{example, scenario, signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The example's program, listening on a port of its own.
struct Service {
    program: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut program = Command::new(example("axum"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("it says where")
            .to_owned();
        Self {
            program,
            output,
            address,
        }
    }

    /// Asks for the words of a text, and returns the status and the body of the answer.
    async fn words(&self, text: &str, pause_ms: u32) -> (u16, String) {
        let body = json!({ "text": text, "pause_ms": pause_ms }).to_string();
        let head = format!(
            "POST /words HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        self.ask(&head, &body).await
    }

    async fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    async fn load(&self) -> String {
        self.ask("GET /status HTTP/1.1", "").await.1
    }

    /// Sends SIGTERM, and returns what the program prints until its end, and whether that was a good one.
    fn terminate(mut self) -> (String, bool) {
        signal(self.program.id(), Signal::TERM);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (rest, self.program.wait().unwrap().success())
    }
}

#[test]
fn a_request_is_answered_by_python() {
    scenario(async {
        let service = Service::start();
        let (status, body) = service.words("to be or not to be", 0).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({"total": 6, "most_common": "to"})
        );
        assert!(service.terminate().1);
    });
}

#[test]
fn overload_is_503() {
    scenario(async {
        let service = Service::start();
        // Two run, two wait, and the others are refused at once.
        let answers = join_all((0..8).map(|_| service.words("a", 400))).await;
        let mut statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
        statuses.sort_unstable();
        assert_eq!(
            statuses,
            [200, 200, 200, 200, 503, 503, 503, 503],
            "{answers:?}"
        );
        assert!(service.terminate().1);
    });
}

#[test]
fn a_missed_deadline_is_504() {
    scenario(async {
        let service = Service::start();
        let (status, body) = service.words("a", 1500).await;
        assert_eq!(status, 504, "{body}");
        assert!(body.contains("count_words"), "{body}");
        assert!(service.terminate().1);
    });
}

#[test]
fn sigterm_drains() {
    scenario(async {
        let service = Service::start();
        let terminate = async {
            // The request is on its way to Python when the signal comes.
            let mut load = String::new();
            while load != "1 in flight, 0 waiting\n" {
                load = service.load().await;
            }
            signal(service.program.id(), Signal::TERM);
        };
        let (answer, ()) = futures::join!(service.words("a a", 700), terminate);
        assert_eq!(
            (answer.0, answer.1.contains(r#""total":2"#)),
            (200, true),
            "{answer:?}"
        );
        let (rest, is_success) = service.terminate();
        assert_eq!(
            (rest.as_str(), is_success),
            ("drained: 0 calls cut\n", true)
        );
    });
}
