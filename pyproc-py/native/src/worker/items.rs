//! Functions that read an argument item by item.

use pyo3::prelude::*;
use pyproc_proto::{CallId, Status};

use super::Worker;
use crate::errors::ProtocolError;
use crate::function::ItemsParameter;
use crate::request::Queued;

impl<'py> Worker<'py> {
    /// Refuses a request with items for a function that takes none, or one without them. Returns
    /// whether it did.
    pub(super) fn refuse_items(&mut self, request: &Queued) -> bool {
        let function = &self.functions[usize::from(request.function)];
        let message = match (&function.items, request.items_follow) {
            (Some(items), false) => {
                let name = &items.name;
                format!("$: argument `{name}` is a stream, and no items were to follow")
            }
            (None, true) => "the function takes no stream, and items were to follow".to_owned(),
            _ => return false,
        };
        self.refuse(request.call, Status::InvalidArgument, "CallError", message);
        true
    }

    /// What the function of a call reads its items from.
    pub(super) fn items_of(
        &self,
        call: CallId,
        items: &ItemsParameter<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = (&self.lent, call.get(), &items.parameter);
        let made = self.python.make_items.call1(arguments)?;
        self.lent.get().add(call, &made);
        Ok(made)
    }

    /// Runs code of a function that may wait for items; meanwhile it has the connection.
    pub(super) fn lending<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.lent.get().lend(&mut self.protocol);
        let result = run();
        if let Some(lent) = self.lent.get().take_back() {
            self.protocol = lent.protocol;
            self.has_ended |= lent.has_ended;
            self.violation = self.violation.take().or(lent.violation);
            for event in lent.events {
                self.take_event(event);
            }
        }
        result
    }

    /// Drops what a call has not read that has ended, and leaves a host that was found to break the
    /// protocol.
    pub(super) fn end_items(&mut self, call: CallId) -> PyResult<()> {
        self.lent.get().forget(self.py, call)?;
        match self.violation.take() {
            Some(violation) => Err(ProtocolError::new_err(violation.to_string())),
            None => Ok(()),
        }
    }
}
