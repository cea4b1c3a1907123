//! How a host sends an argument item by item.

use super::{HostConnection, HostEvent};
use crate::frame::{Frame, Outgoing};
use crate::header::LENGTH_LEN;
use crate::{CallId, Header, Kind, ProtocolError};

/// Why an item of an argument was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The call has ended, or its items have, or none were to follow.
    #[error("call {call} does not wait for items")]
    NotWaiting {
        /// The call.
        call: CallId,
    },
    /// No item may be sent until the worker grants more.
    #[error("the argument of call {call} has no credit left")]
    NoCredit {
        /// The call.
        call: CallId,
    },
    /// The item would be longer than a frame may be.
    #[error("the item takes {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// The length that its frame would state, in bytes.
        bytes: usize,
        /// The limit, `max_frame`, in bytes.
        limit: usize,
    },
}

impl<T> HostConnection<T> {
    /// How many bytes of items may be sent for a call, their frames counted whole. As long as any
    /// are left, an item of any length may; 0 or less until [`Credit`](HostEvent::Credit) says that
    /// there are more, and for a call that does not wait for items.
    pub fn credit(&mut self, call: CallId) -> i64 {
        let items = self.in_flight.items(call);
        items.map_or(0, |(credit, _)| credit.left())
    }

    /// Sends an item of an argument.
    ///
    /// # Errors
    ///
    /// [`ItemError`]; nothing was sent then.
    pub fn item(&mut self, call: CallId, body: &[u8]) -> Result<(), ItemError> {
        let limit = self.decoder.max_frame();
        let items = self.in_flight.items(call);
        let (credit, place) = items.ok_or(ItemError::NotWaiting { call })?;
        let frame = Outgoing {
            index: place,
            ..Outgoing::of_call(Kind::StreamItem, call.get(), body)
        };
        let bytes = frame.length();
        if bytes > limit {
            return Err(ItemError::TooLarge { bytes, limit });
        }
        if !credit.is_left() {
            return Err(ItemError::NoCredit { call });
        }
        credit.spend(LENGTH_LEN + bytes);
        self.send(&frame);
        Ok(())
    }

    /// Says that there are no more items. Ignored for a call that does not wait for any.
    pub fn end_items(&mut self, call: CallId) {
        if let Some(place) = self.in_flight.end_items(call) {
            self.send(&Outgoing {
                index: place,
                ..Outgoing::of_call(Kind::StreamEnd, call.get(), &[])
            });
        }
    }

    /// Credit may cross the end of the items on its way; but none comes after the answer.
    pub(super) fn handle_credit(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let Header {
            kind, index, call, ..
        } = frame.header;
        let call = CallId::new(call).ok_or(ProtocolError::UnknownCall { call })?;
        if self.in_flight.place_of_items(call)? != index {
            return Err(ProtocolError::UnexpectedIndex { kind, index });
        }
        let bytes = frame.credit()?;
        if let Some((credit, _)) = self.in_flight.items(call) {
            credit.grant(bytes);
            self.events.push_back(HostEvent::Credit { call });
        }
        Ok(())
    }
}
