//! The host's end of a connection in the JSON protocol.

use bytes::Bytes;

use super::{HostConnection, HostEvent, Request, RequestError};
use crate::json_protocol::{JsonReply, JsonRequest, NO_ARGUMENTS, Unwritable, write_framed};
use crate::{CallId, Kind, ProtocolError};

impl<T> HostConnection<T> {
    pub(super) fn queue_message(&mut self, request: &Request<'_>) -> Result<CallId, RequestError> {
        let limit = self.decoder.max_frame();
        // Refused before it is copied: the message can only be longer than its body.
        if request.body.len() > limit {
            let bytes = request.body.len();
            return Err(RequestError::TooLarge { bytes, limit });
        }
        let body = if request.body.is_empty() {
            NO_ARGUMENTS
        } else {
            &request.body[..]
        };
        let call = self.ids.peek();
        let written = write_framed(self.output.buffer_mut(), limit, |output| {
            JsonRequest::write(call.get(), request.function, body, output)
        });
        match written {
            Ok(()) => {
                self.ids.assign();
                Ok(call)
            }
            Err(Unwritable::TooLarge { bytes }) => Err(RequestError::TooLarge { bytes, limit }),
            Err(Unwritable::NotJson { message }) => Err(RequestError::InvalidBody { message }),
        }
    }

    pub(super) fn handle_message(&mut self, payload: &Bytes) -> Result<(), ProtocolError> {
        let reply = JsonReply::parse(payload)?;
        let unknown = ProtocolError::UnknownCall { call: reply.id };
        let call = CallId::new(reply.id).ok_or(unknown)?;
        let token = self.in_flight.remove(call, Kind::Reply)?;
        self.events.push_back(match reply.outcome {
            Ok(body) => HostEvent::Reply {
                call,
                token,
                metadata: None,
                body,
            },
            Err(error) => HostEvent::Failed {
                call,
                token,
                error: Box::new(error),
            },
        });
        Ok(())
    }
}
