//! A worker's end of a connection in the binary protocol.

use super::{FunctionRef, State, WorkerConnection, WorkerEvent};
use crate::frame::{Frame, Outgoing};
use crate::{
    CallId, Flags, FunctionIndex, Header, Hello, Kind, ProtocolError, RemoteError, Status, Welcome,
    handshake,
};

impl WorkerConnection {
    /// Answers the host's `Hello`: requests can come from now on. Nothing happens where there is
    /// no `Hello` to answer.
    pub fn welcome(&mut self, welcome: &Welcome) {
        if self.state == State::Greeted {
            // Numbers, strings and lists of such can always be written as JSON.
            let body = serde_json::to_vec(welcome).unwrap_or_default();
            self.send(&Outgoing::of_connection(Kind::Welcome, &body));
            self.state = State::Ready;
        }
    }

    pub(super) fn handle_frame(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let (kind, flags) = (frame.header.kind, frame.header.flags);
        if flags.intersects(Flags::RESERVED) {
            let flags = flags.bits();
            return Err(ProtocolError::NotNegotiated { kind, flags });
        }
        match (self.state, kind) {
            (State::Left, _) => Ok(()),
            (State::Closed, _) => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "after the connection was closed",
            }),
            (State::Waiting, Kind::Hello) => self.handle_hello(&frame),
            (State::Waiting, _) => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "before the host's Hello",
            }),
            (State::Ready | State::Drained, Kind::Request) => self.handle_request(frame),
            (State::Ready | State::Drained, Kind::Cancel) => {
                self.handle_cancel(&frame);
                Ok(())
            }
            (State::Ready | State::Drained, Kind::Credit) => self.handle_credit(&frame),
            (State::Ready | State::Drained, Kind::StreamItem | Kind::StreamEnd) => {
                self.handle_item(frame)
            }
            (_, Kind::Ping) => {
                self.send(&Outgoing::of_connection(Kind::Pong, &frame.body));
                self.events.push_back(WorkerEvent::Ping);
                Ok(())
            }
            (State::Ready | State::Drained, Kind::Drain) => {
                self.state = State::Drained;
                self.events.push_back(WorkerEvent::Drain);
                Ok(())
            }
            (_, Kind::Goodbye) => {
                self.state = State::Closed;
                self.events.push_back(WorkerEvent::Goodbye);
                Ok(())
            }
            (State::Greeted, _) => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "before the worker's Welcome",
            }),
            (State::Ready | State::Drained, _) => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "from a host",
            }),
        }
    }

    /// A `Hello` that cannot be understood is refused here, before anybody is asked.
    fn handle_hello(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let error = match handshake::parse::<Hello>(Kind::Hello, &frame.body) {
            Ok(hello) => {
                let claimed = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
                self.decoder.set_max_frame(claimed.min(u32::MAX as usize));
                self.state = State::Greeted;
                self.events.push_back(WorkerEvent::Hello(Box::new(hello)));
                return Ok(());
            }
            Err(error) => error,
        };
        let status = match error {
            ProtocolError::VersionMismatch { .. } => Status::UnsupportedVersion,
            _ => Status::InvalidHello,
        };
        self.refuse(&RemoteError::new(status, status.name(), error.to_string()));
        Err(error)
    }

    fn handle_request(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let (number, last) = (frame.header.call, self.last_call);
        let out_of_order = ProtocolError::CallOutOfOrder { call: number, last };
        let call = match CallId::new(number) {
            Some(call) if number > last => call,
            _ => return Err(out_of_order),
        };
        self.last_call = number;
        let wants_stream = frame.header.flags.contains(Flags::WANTS_STREAM);
        let items_follow = frame.header.flags.contains(Flags::ITEMS_FOLLOW);
        self.unanswered.insert(call, number, wants_stream);
        if items_follow {
            self.unanswered.expect_items();
        }
        self.events.push_back(WorkerEvent::Request {
            call,
            function: FunctionRef::Index(FunctionIndex(frame.header.index)),
            deadline: frame.deadline,
            metadata: frame.metadata,
            wants_stream,
            items_follow,
            body: frame.body,
        });
        Ok(())
    }

    /// Credit may cross the end of its stream on the way; then it is nobody's.
    fn handle_credit(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let Header { kind, index, .. } = frame.header;
        if index != 0 {
            return Err(ProtocolError::UnexpectedIndex { kind, index });
        }
        let bytes = frame.credit()?;
        let stream = CallId::new(frame.header.call)
            .and_then(|call| Some((call, self.unanswered.credit(call)?)));
        if let Some((call, credit)) = stream {
            credit.grant(bytes);
            self.events.push_back(WorkerEvent::Credit { call });
        }
        Ok(())
    }

    /// A `Cancel` may cross the answer on the way; then there is nobody to tell.
    fn handle_cancel(&mut self, frame: &Frame) {
        let call = CallId::new(frame.header.call);
        if let Some(call) = call.filter(|call| self.unanswered.get(*call).is_some()) {
            self.events.push_back(WorkerEvent::Cancel { call });
        }
    }
}
