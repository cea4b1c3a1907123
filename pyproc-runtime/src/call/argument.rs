//! What a call takes to its function: a value, or a value and a stream.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pyproc_proto::{Codec, CodecError};
use serde::Serialize;

/// What a function is called with: anything that can be serialized, or that together with a stream, as [`with_items`]
/// makes it. Nothing else implements it.
pub trait Argument: sealed::Argument {}

impl<A: sealed::Argument> Argument for A {}

/// An argument together with a stream, for a function with a parameter that is annotated `Iterator[T]`, or
/// `AsyncIterator[T]` if it is async. The stream becomes that parameter; `argument` is what the others take, `()` if there
/// are no others.
///
/// ```no_run
/// # use pyproc_runtime as pyproc;
/// # async fn example(
/// #     pool: pyproc::Pool,
/// #     rows: impl futures_core::Stream<Item = f64>,
/// # ) -> pyproc::Result<()> {
/// let mean: f64 = pool.call("mean", pyproc::with_items((), rows)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Whoever polls the call, or the stream that it is answered with, moves the items: as the function asks for them, at most
/// 256 KiB and one item more in advance. The call ends when the function returns, whether it has read all of them or not,
/// and what is left of the stream is dropped. Once an item was taken from the stream the call is not begun anew.
pub fn with_items<A, S>(argument: A, items: S) -> impl Argument
where
    A: Serialize,
    S: Stream<Item: Serialize>,
{
    WithItems {
        value: argument,
        source: Some(Sure(Box::pin(items))),
    }
}

/// As [`with_items`], for a stream that can fail. With its first `Err` the call ends as
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with that error as its source, and the function is ended like
/// that of a call which nobody waits for.
pub fn with_try_items<A, S, T, E>(argument: A, items: S) -> impl Argument
where
    A: Serialize,
    S: Stream<Item = Result<T, E>>,
    T: Serialize,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    WithItems {
        value: argument,
        source: Some(Unsure(Box::pin(items))),
    }
}

struct WithItems<A, S> {
    value: A,
    /// `None` when it has ended.
    source: Option<S>,
}

/// Items that are always there when their time comes.
struct Sure<S>(Pin<Box<S>>);

/// Items, or the error that there are no more.
struct Unsure<S>(Pin<Box<S>>);

/// Why there is no item.
#[derive(Debug)]
pub enum NoItem {
    /// Where it comes from has failed.
    Source(Box<dyn StdError + Send + Sync>),
    /// It cannot be encoded.
    Codec(CodecError),
}

type Item<T> = Poll<Option<Result<T, Box<dyn StdError + Send + Sync>>>>;

pub(super) mod sealed {
    use std::task::{Context, Poll};

    use pyproc_proto::{Codec, CodecError};
    use serde::Serialize;

    use super::NoItem;

    pub trait Argument {
        /// Whether items follow the value.
        const HAS_ITEMS: bool;

        /// Encodes the value.
        fn encode<C: Codec>(&self, codec: &C, body: &mut Vec<u8>) -> Result<(), CodecError>;

        /// Waits for the next item, and encodes it; `None` says that there are no more.
        fn poll_item<C: Codec>(
            &mut self,
            context: &mut Context<'_>,
            codec: &C,
            body: &mut Vec<u8>,
        ) -> Poll<Option<Result<(), NoItem>>>;

        /// Drops where the items come from: nobody reads them any more.
        fn forget_items(&mut self) {}
    }

    impl<A: Serialize> Argument for A {
        const HAS_ITEMS: bool = false;

        fn encode<C: Codec>(&self, codec: &C, body: &mut Vec<u8>) -> Result<(), CodecError> {
            codec.encode(self, body)
        }

        fn poll_item<C: Codec>(
            &mut self,
            _: &mut Context<'_>,
            _: &C,
            _: &mut Vec<u8>,
        ) -> Poll<Option<Result<(), NoItem>>> {
            Poll::Ready(None)
        }
    }
}

/// Where items come from.
trait Source {
    type Item: Serialize;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Item<Self::Item>;
}

impl<A: Serialize, S: Source> sealed::Argument for WithItems<A, S> {
    const HAS_ITEMS: bool = true;

    fn encode<C: Codec>(&self, codec: &C, body: &mut Vec<u8>) -> Result<(), CodecError> {
        codec.encode(&self.value, body)
    }

    fn poll_item<C: Codec>(
        &mut self,
        context: &mut Context<'_>,
        codec: &C,
        body: &mut Vec<u8>,
    ) -> Poll<Option<Result<(), NoItem>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let item = ready!(source.poll_next(context));
        if item.is_none() {
            // Whatever it holds is needed no more, and it must not be polled again.
            self.source = None;
        }
        Poll::Ready(item.map(|item| {
            let item = item.map_err(NoItem::Source)?;
            codec.encode(&item, body).map_err(NoItem::Codec)
        }))
    }

    fn forget_items(&mut self) {
        self.source = None;
    }
}

impl<S: Stream<Item: Serialize>> Source for Sure<S> {
    type Item = S::Item;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Item<S::Item> {
        self.0.as_mut().poll_next(context).map(|item| item.map(Ok))
    }
}

impl<S, T, E> Source for Unsure<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Serialize,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Item = T;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Item<T> {
        let item = self.0.as_mut().poll_next(context);
        item.map(|item| item.map(|item| item.map_err(Into::into)))
    }
}
