//! How a worker takes an argument item by item.

use super::{WorkerConnection, WorkerEvent};
use crate::frame::{Frame, Outgoing};
use crate::{CallId, Header, Kind, ProtocolError};

impl WorkerConnection {
    /// Lets the host send so many more bytes of an argument, its frames counted whole; `place` is
    /// that of the parameter in the table of the `Welcome`. Ignored for a call that was answered,
    /// and for items that have ended.
    pub fn grant(&mut self, call: CallId, place: u16, bytes: u32) {
        let Some(id) = self.unanswered.get(call) else {
            return;
        };
        let Some(items) = self.unanswered.items(call) else {
            return;
        };
        let Some(credit) = items.open().filter(|_| bytes > 0) else {
            return;
        };
        credit.grant(bytes);
        items.place = Some(place);
        self.send(&Outgoing {
            index: place,
            ..Outgoing::of_call(Kind::Credit, id, &bytes.to_be_bytes())
        });
    }

    /// Items may cross the answer to their call on the way; then they are nobody's.
    pub(super) fn handle_item(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let bytes = frame.wire_len();
        let Header {
            kind,
            index,
            call: number,
            ..
        } = frame.header;
        let unknown = ProtocolError::UnknownCall { call: number };
        let call = CallId::new(number).filter(|_| number <= self.last_call);
        let call = call.ok_or(unknown)?;
        if self.unanswered.get(call).is_none() {
            return Ok(());
        }
        let Some(items) = self.unanswered.items(call) else {
            return Err(ProtocolError::NoItems { kind, call: number });
        };
        let place = items.place;
        let Some(credit) = items.open() else {
            let when = "after the end of its argument";
            return Err(ProtocolError::UnexpectedFrame { kind, when });
        };
        if place.is_some_and(|place| place != index) {
            return Err(ProtocolError::UnexpectedIndex { kind, index });
        }
        let event = if kind == Kind::StreamEnd {
            items.end();
            WorkerEvent::ItemsEnd { call }
        } else if credit.spend(bytes) {
            let body = frame.body;
            WorkerEvent::Item { call, body }
        } else {
            return Err(ProtocolError::WithoutCredit { call: number });
        };
        self.events.push_back(event);
        Ok(())
    }
}
