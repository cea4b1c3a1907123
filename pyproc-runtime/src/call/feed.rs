//! How the items of an argument reach the worker: whoever polls the call moves them.

use std::task::{Context, Poll};

use pyproc_proto::{Codec, HEADER_LEN, ItemError};

use super::answer::too_large;
use super::argument::{NoItem, sealed::Argument};
use super::caller::{Caller, State};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Items, Unpushed};

/// So many bytes are sent together, and then others have their turn: it takes tens of microseconds.
const BATCH_BYTES: usize = 16 * 1024;

/// Why a batch ends.
enum Stop {
    /// The source has none for now, and will wake the caller.
    Pending,
    End,
    Failed(NoItem),
    /// The item takes so many bytes, which no frame can have.
    TooLong(usize),
}

impl<C: Codec, A: Argument> Caller<'_, C, A> {
    /// Sends items of the argument, as far as its source has any and the worker takes them. The waker must be where the
    /// worker's leave to send more will find it.
    ///
    /// # Errors
    ///
    /// There is no next item, so the call cannot go on.
    pub(super) fn feed(&mut self, context: &Context<'_>) -> Result<()> {
        if !A::HAS_ITEMS {
            return Ok(());
        }
        let (State::Sent { receipt, .. } | State::Waiting { receipt, .. }) = &self.state else {
            return Ok(());
        };
        let Some((connection, call)) = receipt.place() else {
            return Ok(());
        };
        let mut credit = connection.credit(call);
        if credit <= 0 {
            return Ok(());
        }
        let (mut items, mut bytes, mut stop) = (Items::default(), 0, None);
        while credit > 0 && bytes < BATCH_BYTES {
            match self.next_item(context, &mut items) {
                Ok(length) => {
                    let length = HEADER_LEN + length;
                    credit = credit.saturating_sub_unsigned(length as u64);
                    bytes = bytes.saturating_add(length);
                }
                Err(reason) => {
                    stop = Some(reason);
                    break;
                }
            }
        }
        let is_end = matches!(stop, Some(Stop::End));
        if bytes > 0 || is_end {
            self.history.has_streamed = true;
            if let Err(ItemError::TooLarge { bytes, .. }) =
                connection.send_items(call, &mut items, is_end)
            {
                return Err(self.too_long(bytes));
            }
        }
        match stop {
            Some(Stop::TooLong(bytes)) => {
                self.history.has_streamed = true;
                Err(self.too_long(bytes))
            }
            Some(Stop::Failed(reason)) => {
                // Only a function that has begun asks for items, be it the first.
                self.history.has_streamed = true;
                Err(self.failed(reason))
            }
            Some(Stop::Pending | Stop::End) => Ok(()),
            None => {
                if credit > 0 {
                    context.waker().wake_by_ref();
                }
                Ok(())
            }
        }
    }

    /// Appends the next item, and returns its length.
    fn next_item(&mut self, context: &Context<'_>, items: &mut Items) -> Result<usize, Stop> {
        let codec = self.pool.codec();
        let mut context = Context::from_waker(context.waker());
        let encode = |body: &mut Vec<u8>| match self.argument.poll_item(&mut context, codec, body) {
            Poll::Ready(Some(Ok(()))) => Ok(()),
            Poll::Ready(Some(Err(reason))) => Err(Stop::Failed(reason)),
            Poll::Ready(None) => Err(Stop::End),
            Poll::Pending => Err(Stop::Pending),
        };
        // Whether its frame is too long is the connection's to say, as long as a frame can have it at all.
        items
            .push_with(u32::MAX, encode)
            .map_err(|reason| match reason {
                Unpushed::TooLong { bytes } => Stop::TooLong(bytes),
                Unpushed::Failed(stop) => stop,
            })
    }

    fn too_long(&self, bytes: usize) -> Error {
        let limit = self.pool.shared().config().limits.max_frame;
        let message = format!("an item takes {bytes} bytes; the limit is {limit}");
        too_large(&message).with_function(&self.function)
    }

    fn failed(&self, reason: NoItem) -> Error {
        let error = match reason {
            NoItem::Source(error) => {
                let message = "the stream that the function reads has failed";
                Error::new(ErrorKind::InvalidArgument, message).with_source(error)
            }
            NoItem::Codec(error) => {
                let message = "an item of the argument cannot be encoded";
                Error::new(ErrorKind::Codec, message).with_source(error)
            }
        };
        error.with_function(&self.function)
    }
}
