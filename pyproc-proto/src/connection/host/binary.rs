//! The host's end of a connection in the binary protocol.

use super::super::output::SHARED_FROM;
use super::commands::Queued;
use super::functions::FunctionTable;
use super::{Body, HostConnection, HostEvent, Request, RequestError, State};
use crate::frame::{Frame, Outgoing};
use crate::status::check_status;
use crate::{
    CallId, Flags, Header, Kind, LogRecord, ProtocolError, RemoteError, Welcome, handshake,
};

impl<T> HostConnection<T> {
    pub(super) fn queue_frame(&mut self, request: &Request<'_>) -> Result<Queued, RequestError> {
        let name = || request.function.to_owned();
        let Some(function) = self.functions.get(request.function) else {
            return Err(RequestError::FunctionNotFound { name: name() });
        };
        match (request.credit, request.has_items) {
            (None, _) if function.is_stream => return Err(RequestError::IsStream { name: name() }),
            (Some(_), _) if !function.is_stream => {
                return Err(RequestError::IsNoStream { name: name() });
            }
            (_, false) if function.items.is_some() => {
                return Err(RequestError::TakesItems { name: name() });
            }
            (_, true) if function.items.is_none() => {
                return Err(RequestError::TakesNoItems { name: name() });
            }
            _ => {}
        }
        let wants_stream = match request.credit {
            Some(_) => Flags::WANTS_STREAM,
            None => Flags::NONE,
        };
        let items_follow = match request.has_items {
            true => Flags::ITEMS_FOLLOW,
            false => Flags::NONE,
        };
        let (index, mode, items) = (function.index, function.mode, function.items);
        let mut frame = Outgoing {
            kind: Kind::Request,
            flags: wants_stream | items_follow,
            index: index.0,
            call: 0,
            deadline: request.deadline.map(|deadline| deadline.wire),
            metadata: request.metadata,
            body: &request.body,
        };
        let (bytes, limit) = (frame.length(), self.decoder.max_frame());
        if bytes > limit {
            return Err(RequestError::TooLarge { bytes, limit });
        }
        let call = self.ids.assign();
        frame.call = call.get();
        match request.body {
            Body::Shared(body) if body.len() >= SHARED_FROM => {
                frame.write_head(self.output.buffer_mut());
                self.output.push(body.clone());
            }
            _ => frame.write(self.output.buffer_mut()),
        }
        Ok(Queued {
            call,
            function: Some(index),
            mode,
            items,
        })
    }

    pub(super) fn handle_frame(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let (kind, flags) = (frame.header.kind, frame.header.flags);
        if flags.intersects(Flags::RESERVED) {
            let flags = flags.bits();
            return Err(ProtocolError::NotNegotiated { kind, flags });
        }
        if self.state == State::Closed {
            let when = "after the connection was closed";
            return Err(ProtocolError::UnexpectedFrame { kind, when });
        }
        let greeting = matches!(self.state, State::Greeting { .. });
        match kind {
            Kind::Welcome if greeting => self.handle_welcome(&frame),
            Kind::Welcome | Kind::Error if self.left_early(&frame) => Ok(()),
            Kind::Welcome => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "after the handshake",
            }),
            Kind::Error if frame.header.call == 0 => self.handle_refusal(&frame, greeting),
            Kind::Reply | Kind::Error | Kind::StreamItem | Kind::StreamEnd => {
                self.handle_answer(frame)
            }
            Kind::Credit => self.handle_credit(&frame),
            Kind::Log => self.handle_log(&frame),
            Kind::Ping => {
                self.send(&Outgoing::of_connection(Kind::Pong, &frame.body));
                Ok(())
            }
            Kind::Pong => self.handle_pong(&frame),
            Kind::Drain => {
                if self.state == State::Ready {
                    self.state = State::Draining;
                }
                self.events.push_back(HostEvent::Draining);
                Ok(())
            }
            Kind::Goodbye => {
                self.state = State::Closed;
                self.events.push_back(HostEvent::Goodbye);
                Ok(())
            }
            _ => Err(ProtocolError::UnexpectedFrame {
                kind,
                when: "from a worker",
            }),
        }
    }

    /// Whether a frame answers a `Hello` that the host no longer stands by.
    fn left_early(&self, frame: &Frame) -> bool {
        self.state == State::Left && self.welcome.is_none() && frame.header.call == 0
    }

    fn handle_welcome(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let welcome: Welcome = handshake::parse(Kind::Welcome, &frame.body)?;
        if welcome.codec != self.codec {
            return Err(ProtocolError::CodecMismatch {
                asked: self.codec.clone(),
                answered: welcome.codec,
            });
        }
        self.functions = FunctionTable::new(&welcome.functions, self.threads)?;
        self.state = State::Ready;
        self.welcome = Some(welcome.clone());
        self.events.push_back(HostEvent::Ready(Box::new(welcome)));
        Ok(())
    }

    fn handle_refusal(&mut self, frame: &Frame, greeting: bool) -> Result<(), ProtocolError> {
        if !greeting {
            let (kind, when) = (Kind::Error, "without a call, after the handshake");
            return Err(ProtocolError::UnexpectedFrame { kind, when });
        }
        let error = remote_error(frame)?;
        self.state = State::Closed;
        self.events.push_back(HostEvent::Refused(Box::new(error)));
        Ok(())
    }

    /// What a call ends with, or an item of its stream.
    fn handle_answer(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let (kind, number) = (frame.header.kind, frame.header.call);
        let unknown = ProtocolError::UnknownCall { call: number };
        let call = CallId::new(number).ok_or(unknown.clone())?;
        let calls = &mut self.in_flight;
        let event = match kind {
            Kind::Reply => {
                let (token, metadata) = (calls.remove(call, kind)?, frame.metadata);
                HostEvent::Reply {
                    call,
                    token,
                    metadata: (!metadata.is_empty()).then(|| Box::new(metadata)),
                    body: frame.body,
                }
            }
            Kind::StreamItem => {
                check_index(&frame)?;
                calls.spend(call, frame.wire_len())?;
                let body = frame.body;
                HostEvent::Item { call, body }
            }
            Kind::StreamEnd => {
                check_index(&frame)?;
                let token = calls.remove(call, kind)?;
                HostEvent::StreamEnd { call, token }
            }
            _ => {
                if calls.get(call).is_none() {
                    return Err(unknown);
                }
                // Understood before the call is taken out: a broken error must not lose its token.
                let error = Box::new(remote_error(&frame)?);
                let token = calls.remove(call, kind)?;
                HostEvent::Failed { call, token, error }
            }
        };
        self.events.push_back(event);
        Ok(())
    }

    fn handle_log(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let mut record: LogRecord =
            serde_json::from_slice(&frame.body).map_err(|error| malformed(Kind::Log, &error))?;
        record.call = CallId::new(frame.header.call);
        self.events.push_back(HostEvent::Log(record));
        Ok(())
    }

    fn handle_pong(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let next = self.pings.answered + 1;
        if next > self.pings.sent || frame.body[..] != next.to_be_bytes() {
            let (kind, when) = (Kind::Pong, "without its ping");
            return Err(ProtocolError::UnexpectedFrame { kind, when });
        }
        self.pings.answered = next;
        self.events.push_back(HostEvent::Pong);
        Ok(())
    }
}

/// In a stream of results the index means nothing.
fn check_index(frame: &Frame) -> Result<(), ProtocolError> {
    let Header { kind, index, .. } = frame.header;
    match index {
        0 => Ok(()),
        _ => Err(ProtocolError::UnexpectedIndex { kind, index }),
    }
}

fn remote_error(frame: &Frame) -> Result<RemoteError, ProtocolError> {
    let status = check_status(frame.header.index, frame.header.call)?;
    RemoteError::from_body(status, &frame.body).map_err(|error| malformed(Kind::Error, &error))
}

fn malformed(kind: Kind, error: &serde_json::Error) -> ProtocolError {
    let message = error.to_string();
    ProtocolError::MalformedBody { kind, message }
}
