//! A worker's end of a connection in the JSON protocol.

use bytes::Bytes;

use super::{FunctionRef, WorkerConnection, WorkerEvent};
use crate::json_protocol::JsonRequest;
use crate::{CallId, Metadata};

impl WorkerConnection {
    /// A message that cannot be understood does not condemn the connection: where messages begin
    /// is still known, and a person who types deserves an answer.
    pub(super) fn handle_message(&mut self, payload: &Bytes) {
        if !self.is_open() {
            return;
        }
        let event = match JsonRequest::parse(payload) {
            Ok(request) => WorkerEvent::Request {
                call: self.accept(request.id),
                function: FunctionRef::Name(request.method),
                deadline: None,
                metadata: Metadata::new(),
                wants_stream: false,
                items_follow: false,
                body: request.body,
            },
            Err(invalid) => {
                let id = invalid.id;
                let error = invalid.into_error();
                if id.is_none() {
                    // A limit without room for an error leaves the host without an answer.
                    let _ = self.write_error(0, &error);
                }
                let call = id.map(|id| self.accept(id));
                WorkerEvent::Invalid { call, error }
            }
        };
        self.events.push_back(event);
    }

    /// Notes that a call waits for its answer, under whatever id the host gave it.
    fn accept(&mut self, id: u64) -> CallId {
        let call = self.ids.assign();
        self.unanswered.insert(call, id, false);
        call
    }
}
