//! How a worker answers a call with a stream.

use super::answer::NO_METADATA;
use super::{AnswerError, ReplyBody, ReplyError, WorkerConnection};
use crate::frame::Outgoing;
use crate::{CallId, Kind};

impl WorkerConnection {
    /// Whether an item of a stream may be sent now. If not, [`Credit`](crate::WorkerEvent::Credit)
    /// will tell when.
    pub fn has_credit(&mut self, call: CallId) -> bool {
        let credit = self.unanswered.credit(call);
        credit.is_some_and(|credit| credit.is_left())
    }

    /// Sends an item of a stream, which `encode` writes to the end of the output, so that nothing
    /// is copied.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing was sent then, and what was written is gone.
    pub fn item_with<E>(
        &mut self,
        call: CallId,
        encode: impl FnOnce(&mut ReplyBody<'_>) -> Result<(), E>,
    ) -> Result<(), ReplyError<E>> {
        let id = self.waiting_for_item(call)?;
        if !self.is_open() {
            let body = ReplyBody::collect(encode).map_err(ReplyError::Encode)?;
            return Ok(self.item(call, &body)?);
        }
        let bytes = self.write_with(Kind::StreamItem, id, NO_METADATA, encode)?;
        self.spend(call, bytes);
        Ok(())
    }

    /// Sends an item of a stream, encoded already.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing was sent then.
    pub fn item(&mut self, call: CallId, body: &[u8]) -> Result<(), AnswerError> {
        let id = self.waiting_for_item(call)?;
        let bytes = self.send_within_limit(&Outgoing::of_call(Kind::StreamItem, id, body))?;
        self.spend(call, bytes);
        Ok(())
    }

    /// Ends a stream in good order, after all its items.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing was sent then.
    pub fn end(&mut self, call: CallId) -> Result<(), AnswerError> {
        let id = self.waiting(call, true)?;
        self.send(&Outgoing::of_call(Kind::StreamEnd, id, &[]));
        self.unanswered.remove(call);
        Ok(())
    }

    fn waiting_for_item(&mut self, call: CallId) -> Result<u64, AnswerError> {
        let id = self.waiting(call, true)?;
        if self.has_credit(call) {
            Ok(id)
        } else {
            Err(AnswerError::NoCredit { call })
        }
    }

    fn spend(&mut self, call: CallId, bytes: usize) {
        if let Some(credit) = self.unanswered.credit(call) {
            credit.spend(bytes);
        }
    }
}
