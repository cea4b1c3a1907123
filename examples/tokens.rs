//! Text that a browser shows word by word, as a Python generator makes it up; and that stops when the browser goes.
//!
//! The generator is a stream in Rust, and that becomes the body of an HTTP response: server-sent events. When the
//! connection closes, axum drops the body, which drops the stream, which closes the generator.
//!
//! ```sh
//! cargo run --release --example tokens             # is its own browser, and ends
//! cargo run --release --example tokens -- --serve  # http://localhost:8080, for yours; PORT sets another port
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use futures::{Stream, StreamExt};
use pyproc::{BoxStream, Pool};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

#[pyproc::remote(object_safe)]
trait Model {
    /// `'static`, because a response outlives its handler.
    fn generate(&self, prompt: String) -> BoxStream<'static, pyproc::Result<String>>;
    async fn generators(&self) -> pyproc::Result<Generators>;
}

#[derive(Debug, Deserialize)]
struct Generators {
    begun: u32,
    stopped: u32,
    words: u32,
}

#[derive(Deserialize)]
struct Question {
    prompt: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(pyproc::script!("examples/tokens.py"))
        .workers(1)
        .start()
        .await?;
    let model: Arc<dyn Model> = Arc::new(ModelClient::new(&pool)?);
    let routes = Router::new()
        .route("/", get(page))
        .route("/tokens", get(tokens))
        .with_state(Arc::clone(&model));

    let is_service = std::env::args().any(|argument| argument == "--serve");
    let port = match std::env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) if is_service => 8080,
        Err(_) => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let server = axum::serve(listener, routes);
    if is_service {
        tokio::select! {
            result = server => result?,
            result = tokio::signal::ctrl_c() => result?,
        }
    } else {
        tokio::select! {
            result = server => result?,
            result = browse(address, model.as_ref()) => result?,
        }
    }
    pool.shutdown().await?;
    Ok(())
}

async fn page() -> impl IntoResponse {
    Html(include_str!("tokens.html"))
}

async fn tokens(
    State(model): State<Arc<dyn Model>>,
    Query(question): Query<Question>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = model.generate(question.prompt).map(|token| {
        Ok(match token {
            Ok(token) => Event::default().data(quoted(&token)),
            // The status of the response is long sent, so what went wrong is an event too, and the last one.
            Err(error) => Event::default()
                .event("failed")
                .data(quoted(&error.to_string())),
        })
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// As JSON, in which every character can pass a line of an event.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Does what a browser does whose user leaves the page, and looks whether the generator has stopped.
async fn browse(address: SocketAddr, model: &dyn Model) -> Result<(), Box<dyn Error>> {
    const WORDS: usize = 5;
    let mut connection = BufReader::new(TcpStream::connect(address).await?);
    let request = "GET /tokens?prompt=once+upon+a+time HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.get_mut().write_all(request.as_bytes()).await?;
    let mut words = Vec::new();
    let mut lines = connection.lines();
    while words.len() < WORDS {
        let line = lines.next_line().await?.ok_or("the response has ended")?;
        if let Some(word) = line.strip_prefix("data: ") {
            words.push(serde_json::from_str::<String>(word)?);
        }
    }
    println!("read: {}", words.join(" "));
    let generators = model.generators().await?;
    if (generators.begun, generators.stopped) != (1, 0) {
        return Err(format!("the generator is not there any more: {generators:?}").into());
    }

    let closed = Instant::now();
    drop(lines);
    let generators = timeout(Duration::from_secs(10), stopped(model))
        .await
        .map_err(|_| "the connection is closed, and the generator goes on")??;
    println!(
        "the connection was closed, and the generator has stopped: {} words, {} ms later",
        generators.words,
        closed.elapsed().as_millis()
    );
    Ok(())
}

/// Asks the worker until it has no generator any more.
async fn stopped(model: &dyn Model) -> pyproc::Result<Generators> {
    loop {
        let generators = model.generators().await?;
        if generators.stopped == generators.begun {
            return Ok(generators);
        }
        sleep(Duration::from_millis(1)).await;
    }
}
