//! An HTTP service that answers with the help of Python.
//!
//! All handlers share one pool. Overload becomes 503, a missed deadline 504, and SIGTERM drains: the requests that are
//! there are answered, then the workers end, then the program.
//!
//! ```sh
//! cargo run --release --example axum
//! curl -s localhost:8080/words -H 'content-type: application/json' -d '{"text": "to be or not to be"}'
//! ```
//!
//! `PORT` sets the port, and 0 takes a free one.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use pyproc::{ErrorKind, Pool};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Deserialize)]
struct Question {
    text: String,
    #[serde(default)]
    pause_ms: u32,
}

#[derive(Serialize, Deserialize)]
struct Words {
    total: u32,
    most_common: Option<String>,
}

#[pyproc::remote(object_safe)]
trait Counter {
    async fn count_words(&self, text: &str, pause_ms: u32) -> pyproc::Result<Words>;
}

/// What the handlers share. Tests of them would put a counter of their own here.
#[derive(Clone)]
struct Service {
    counter: Arc<dyn Counter>,
    pool: Pool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(pyproc::script!("examples/axum.py"))
        .workers(2)
        .max_waiting(2)
        .deadline(Duration::from_secs(1))
        .start()
        .await?;
    let service = Service {
        counter: Arc::new(CounterClient::new(&pool)?),
        pool: pool.clone(),
    };
    let routes = Router::new()
        .route("/words", post(words))
        .route("/status", get(status))
        .with_state(service);

    let port = std::env::var("PORT")
        .unwrap_or_else(|_| "8080".to_owned())
        .parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, routes)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;

    let report = pool.shutdown().await?;
    println!("drained: {} calls cut", report.cut);
    Ok(())
}

async fn words(
    State(service): State<Service>,
    Json(question): Json<Question>,
) -> Result<Json<Words>, Failure> {
    Ok(Json(
        service
            .counter
            .count_words(&question.text, question.pause_ms)
            .await?,
    ))
}

async fn status(State(service): State<Service>) -> String {
    let status = service.pool.status();
    format!(
        "{} in flight, {} waiting\n",
        status.in_flight, status.waiting
    )
}

/// What an error of a call is to an HTTP client.
struct Failure(pyproc::Error);

impl From<pyproc::Error> for Failure {
    fn from(error: pyproc::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = match error.kind() {
            ErrorKind::Overloaded | ErrorKind::Closed | ErrorKind::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, format!("{error}\n")).into_response()
    }
}
