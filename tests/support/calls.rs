//! Calls, and what becomes of them before they end.

use futures::FutureExt;
use pyproc::{Pool, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Paths;

/// Calls a function without arguments.
pub async fn call<R: DeserializeOwned>(pool: &Pool, function: &str) -> Result<R> {
    pool.call(function, json!({})).await
}

/// Calls a function, and gives its result or its error as data.
pub async fn call_with(pool: &Pool, function: &str, argument: Value) -> Result<Value> {
    pool.call(function, argument).await
}

/// Calls a function, and drops the call when the function says that it has `started`.
pub async fn call_and_drop(pool: &Pool, function: &str, argument: Value, paths: &Paths) {
    tokio::select! {
        result = call_with(pool, function, argument) => panic!("{function} has ended: {result:?}"),
        () = paths.there_is("started") => {}
    }
}

/// Polls a call once, so that it has asked for its place.
pub fn begun<F: Future + Unpin>(mut call: F) -> F {
    assert!((&mut call).now_or_never().is_none());
    call
}
