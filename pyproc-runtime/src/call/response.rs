//! A value together with what Python has sent beside it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pyproc_proto::{Codec, Metadata};
use serde::de::DeserializeOwned;

use super::{Argument, Call};
use crate::error::Result;

/// What a call has returned, and what its function has sent beside it; see [`Call::with_metadata`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<R> {
    /// What the function has returned.
    pub value: R,
    /// What it has said with `Context.set_metadata`; empty if nothing.
    pub metadata: Metadata,
}

/// A [`Call`] that ends with a [`Response`].
#[must_use = "a call does nothing until it is awaited"]
pub struct CallWithMetadata<'a, C: Codec, A, R>(pub(super) Call<'a, C, A, R>);

impl<C: Codec, A: Argument, R: DeserializeOwned> Future for CallWithMetadata<'_, C, A, R> {
    type Output = Result<Response<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_with(context, |value, mut reply| Response {
            value,
            metadata: reply.take_metadata(),
        })
    }
}

// Nothing in a call is pinned.
impl<C: Codec, A, R> Unpin for CallWithMetadata<'_, C, A, R> {}

impl<C: Codec, A, R> fmt::Debug for CallWithMetadata<'_, C, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
