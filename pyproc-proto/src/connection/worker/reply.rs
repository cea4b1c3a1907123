//! A reply that is encoded where it is sent from.

use bytes::Bytes;

use super::super::output::Output;
use super::answer::AnswerError;

/// Why a reply that was to be encoded in place was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError<E> {
    /// There is no such call, or no room for its answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// What the encoder said; the call still waits for an answer.
    #[error("the value cannot be encoded")]
    Encode(E),
}

/// Where the body of a reply is written to.
#[derive(Debug)]
pub struct ReplyBody<'a> {
    buffer: &'a mut Vec<u8>,
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
}

impl<'a> ReplyBody<'a> {
    pub(super) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self {
            buffer,
            shared: Vec::new(),
            shared_len: 0,
        }
    }

    /// What `encode` writes, in a buffer of its own.
    ///
    /// # Errors
    ///
    /// Those of `encode`.
    pub fn collect<E>(
        encode: impl FnOnce(&mut ReplyBody<'_>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let mut output = Output::default();
        let mut body = ReplyBody::new(output.buffer_mut());
        encode(&mut body)?;
        let (shared, _) = body.into_shared();
        output.weave(shared);
        Ok(output.into_vec())
    }

    /// The end of the output. Only append to it, or take back what was appended for this body.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.buffer
    }

    /// Appends bytes that will be sent from where they lie.
    pub fn share(&mut self, bytes: Bytes) {
        self.shared_len += bytes.len();
        self.shared.push((self.buffer.len(), bytes));
    }

    /// What was written so far, to come back to with [`reset`](Self::reset).
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is in the output.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.shared.is_empty()
    }

    /// Takes back everything that was written after the output had this
    /// [`len`](Self::len) and the body shared nothing.
    pub fn reset(&mut self, len: usize) {
        self.buffer.truncate(len);
        self.shared.clear();
        self.shared_len = 0;
    }

    /// The shared parts with the places that they have in the output, and how long they are
    /// together.
    pub(super) fn into_shared(self) -> (Vec<(usize, Bytes)>, usize) {
        (self.shared, self.shared_len)
    }
}
