//! Calls that go on until their test lets them end.

use pyproc::{Pool, Result};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::wait::PATIENCE;
use super::{Paths, within};

/// A call of `hold`, a function of many of the scripts.
pub struct Held {
    call: JoinHandle<Result<Value>>,
    paths: Paths,
}

impl Held {
    /// What `hold` is called with: it says that it has `started`, and waits for the `gate`.
    pub fn argument(paths: &Paths) -> Value {
        json!({ "started": paths.path("started"), "gate": paths.path("gate") })
    }

    /// Makes the call, and waits until its function has begun.
    pub async fn begin(pool: &Pool) -> Self {
        let paths = Paths::new();
        let call = tokio::spawn(pool.call_owned("hold", Self::argument(&paths)));
        paths.there_is("started").await;
        Self { call, paths }
    }

    /// Lets the function return.
    pub async fn end(self) -> Result<Value> {
        self.paths.write("gate");
        self.ended().await
    }

    /// Waits until something else has ended the call.
    pub async fn ended(self) -> Result<Value> {
        let ended = within(PATIENCE, "the held call ends", self.call).await;
        ended.unwrap()
    }
}
