//! How a worker answers calls, and what else it says of its own accord.

use super::{ReplyBody, ReplyError, State, WorkerConnection};
use crate::frame::Outgoing;
use crate::header::{Header, LENGTH_LEN};
use crate::json_protocol::{JsonReply, Unwritable, write_framed};
use crate::remote_error::halve;
use crate::{CallId, Flags, HEADER_LEN, Kind, LogRecord, Metadata, Protocol, RemoteError, Status};

/// Why an answer was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The call was answered already, or never requested; nothing was sent.
    #[error("call {call} does not wait for an answer")]
    NotWaiting {
        /// The call.
        call: CallId,
    },
    /// A value cannot answer a call that wants a stream, nor an item one that does not; the call
    /// still waits for an answer.
    #[error("call {call} does not end so")]
    WrongAnswer {
        /// The call.
        call: CallId,
    },
    /// No item may be sent until the host grants more; nothing was sent.
    #[error("the stream of call {call} has no credit left")]
    NoCredit {
        /// The call.
        call: CallId,
    },
    /// The reply would be longer than a frame may be; the call still waits for an answer.
    #[error("the reply takes {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// The length that its frame would state, in bytes.
        bytes: usize,
        /// The limit, `max_frame`, in bytes.
        limit: usize,
    },
    /// Under the JSON protocol: the body is not JSON; the call still waits for an answer.
    #[error("the body is not JSON: {message}")]
    InvalidBody {
        /// What is wrong with it, and where.
        message: String,
    },
}

/// What most frames carry.
pub(super) const NO_METADATA: &Metadata = &Metadata::new();

impl WorkerConnection {
    /// Ends a call with a value that `encode` writes to the end of the output, so that nothing is
    /// copied.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing was sent then, and what was written is gone.
    pub fn reply_with<E>(
        &mut self,
        call: CallId,
        encode: impl FnOnce(&mut ReplyBody<'_>) -> Result<(), E>,
    ) -> Result<(), ReplyError<E>> {
        self.reply_accompanied(call, NO_METADATA, encode)
    }

    /// [`reply_with`](Self::reply_with), and these pairs beside the value. The JSON protocol has no
    /// place for them and leaves them out.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing was sent then, and what was written is gone.
    pub fn reply_accompanied<E>(
        &mut self,
        call: CallId,
        metadata: &Metadata,
        encode: impl FnOnce(&mut ReplyBody<'_>) -> Result<(), E>,
    ) -> Result<(), ReplyError<E>> {
        let id = self.waiting(call, false)?;
        if self.protocol != Some(Protocol::Binary) || !self.is_open() {
            // The body must be looked at before it is sent, or is not sent at all.
            let body = ReplyBody::collect(encode).map_err(ReplyError::Encode)?;
            return Ok(self.reply(call, &body)?);
        }
        self.write_with(Kind::Reply, id, metadata, encode)?;
        self.unanswered.remove(call);
        Ok(())
    }

    /// Appends a frame whose body `encode` writes to the end of the output. Returns how many bytes
    /// it has.
    pub(super) fn write_with<E>(
        &mut self,
        kind: Kind,
        id: u64,
        metadata: &Metadata,
        encode: impl FnOnce(&mut ReplyBody<'_>) -> Result<(), E>,
    ) -> Result<usize, ReplyError<E>> {
        let output = self.output.buffer_mut();
        let start = output.len();
        output.extend_from_slice(&[0; HEADER_LEN]);
        let mut flags = Flags::NONE;
        if !metadata.is_empty() {
            flags = Flags::METADATA;
            metadata.encode(output);
        }
        let mut body = ReplyBody::new(output);
        let encoded = encode(&mut body);
        let (shared, shared_len) = body.into_shared();
        if let Err(error) = encoded {
            output.truncate(start);
            return Err(ReplyError::Encode(error));
        }
        let bytes = output.len() - start - LENGTH_LEN + shared_len;
        let limit = self.decoder.max_frame();
        if bytes > limit {
            output.truncate(start);
            return Err(AnswerError::TooLarge { bytes, limit }.into());
        }
        let header = Header {
            kind,
            flags,
            index: 0,
            call: id,
            length: bytes as u32,
        };
        output[start..start + HEADER_LEN].copy_from_slice(&header.encode());
        if !shared.is_empty() {
            self.output.weave(shared);
        }
        Ok(LENGTH_LEN + bytes)
    }

    /// The id that the host knows a call by that waits for such an answer.
    pub(super) fn waiting(&self, call: CallId, is_stream: bool) -> Result<u64, AnswerError> {
        let id = self.unanswered.get(call);
        let id = id.ok_or(AnswerError::NotWaiting { call })?;
        if self.unanswered.is_stream(call) == is_stream {
            Ok(id)
        } else {
            Err(AnswerError::WrongAnswer { call })
        }
    }

    /// Ends a call with a value, encoded already.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing was sent then. Where the call still waits, answer it with
    /// [`error`](Self::error).
    pub fn reply(&mut self, call: CallId, body: &[u8]) -> Result<(), AnswerError> {
        let id = self.waiting(call, false)?;
        if self.protocol == Some(Protocol::Json) {
            self.write_message(|output| JsonReply::write_value(id, body, output))?;
        } else {
            self.send_within_limit(&Outgoing::of_call(Kind::Reply, id, body))?;
        }
        self.unanswered.remove(call);
        Ok(())
    }

    /// Ends a call with an error. One that is over the frame limit loses its traceback, and then
    /// as much of its message as it must.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing was sent then. `TooLarge` only where the limit has no room for an
    /// error without any text.
    pub fn error(&mut self, call: CallId, error: &RemoteError) -> Result<(), AnswerError> {
        let Some(id) = self.unanswered.get(call) else {
            return Err(AnswerError::NotWaiting { call });
        };
        self.write_error(id, error)?;
        self.unanswered.remove(call);
        Ok(())
    }

    /// Ends a call with an error whose body is encoded already, as [`RemoteError`] describes it.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing was sent then. Under the JSON protocol, whose errors look
    /// otherwise, always `InvalidBody` where the body is none.
    pub fn error_encoded(
        &mut self,
        call: CallId,
        status: Status,
        body: &[u8],
    ) -> Result<(), AnswerError> {
        if self.protocol == Some(Protocol::Json) {
            let error = RemoteError::from_body(status, body).map_err(|error| {
                let message = error.to_string();
                AnswerError::InvalidBody { message }
            })?;
            return self.error(call, &error);
        }
        let Some(id) = self.unanswered.get(call) else {
            return Err(AnswerError::NotWaiting { call });
        };
        self.send_error(id, status, body)?;
        self.unanswered.remove(call);
        Ok(())
    }

    /// Tells the host why the worker cannot be of service, and closes the connection. Only the
    /// host's `Hello` can be answered so.
    pub fn refuse(&mut self, error: &RemoteError) {
        if matches!(self.state, State::Waiting | State::Greeted) {
            // A limit without room for an error leaves the closed connection to speak for itself.
            let _ = self.write_error(0, error);
            self.state = State::Left;
        }
    }

    /// Passes a log record on. Under the JSON protocol, which has no place for it, nothing
    /// happens. A message over the frame limit is cut.
    pub fn log(&mut self, record: &LogRecord) {
        let call = record.call.map_or(0, CallId::get);
        let mut body = serde_json::to_vec(record).unwrap_or_default();
        let limit = self.decoder.max_frame();
        let mut shorter = record.clone();
        while Outgoing::of_call(Kind::Log, call, &body).length() > limit {
            if shorter.message.is_empty() {
                return;
            }
            halve(&mut shorter.message);
            body = serde_json::to_vec(&shorter).unwrap_or_default();
        }
        self.send(&Outgoing::of_call(Kind::Log, call, &body));
    }

    /// Appends an error in either protocol, with as much of its text as fits.
    pub(super) fn write_error(&mut self, id: u64, error: &RemoteError) -> Result<(), AnswerError> {
        let mut shortened = None;
        loop {
            let error = shortened.as_ref().unwrap_or(error);
            let too_large = match self.try_write_error(id, error) {
                Err(error @ AnswerError::TooLarge { .. }) => error,
                result => return result,
            };
            shortened = Some(error.shortened().ok_or(too_large)?);
        }
    }

    fn try_write_error(&mut self, id: u64, error: &RemoteError) -> Result<(), AnswerError> {
        if self.protocol == Some(Protocol::Json) {
            return self.write_message(|output| JsonReply::write_error(id, error, output));
        }
        // Text can always be written as JSON.
        let body = error.to_body().unwrap_or_default();
        self.send_error(id, error.status, &body)
    }

    fn send_error(&mut self, id: u64, status: Status, body: &[u8]) -> Result<(), AnswerError> {
        self.send_within_limit(&Outgoing {
            index: status as u16,
            ..Outgoing::of_call(Kind::Error, id, body)
        })?;
        Ok(())
    }

    /// Appends a frame, unless it is longer than one may be. Returns how many bytes it has.
    pub(super) fn send_within_limit(&mut self, frame: &Outgoing<'_>) -> Result<usize, AnswerError> {
        let (bytes, limit) = (frame.length(), self.decoder.max_frame());
        if bytes > limit {
            return Err(AnswerError::TooLarge { bytes, limit });
        }
        self.send(frame);
        Ok(LENGTH_LEN + bytes)
    }

    fn write_message(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
    ) -> Result<(), AnswerError> {
        if !self.is_open() {
            return Ok(());
        }
        let limit = self.decoder.max_frame();
        write_framed(self.output.buffer_mut(), limit, write).map_err(|error| match error {
            Unwritable::TooLarge { bytes } => AnswerError::TooLarge { bytes, limit },
            Unwritable::NotJson { message } => AnswerError::InvalidBody { message },
        })
    }
}
