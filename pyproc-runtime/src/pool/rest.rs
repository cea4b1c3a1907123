//! Waiting for a while.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A while that a call waits before it is tried again. The timer is the pool's, because callers live on any executor.
#[derive(Debug)]
pub(crate) struct Rest(oneshot::Receiver<()>);

impl Rest {
    /// It is over at once when the runtime ends: the pool has ended with it.
    pub(super) fn new(runtime: &Handle, delay: Duration) -> Self {
        let (over, rest) = oneshot::channel();
        runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            // The caller may have gone.
            let _ = over.send(());
        });
        Self(rest)
    }

    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        let mut context = Context::from_waker(context.waker());
        Pin::new(&mut self.0).poll(&mut context).map(drop)
    }
}
