//! A call, as a fake worker sees it.

use pyproc_proto::{RemoteError, Status};
use tokio::sync::mpsc;

use super::Act;

/// A call that has arrived at a fake worker. What the test does with it goes out on the connection that it came on.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which of the worker's connections it came on, from 1.
    pub(crate) connection: usize,
    /// The id that the host gave it.
    pub(crate) call: u64,
    pub(crate) function: String,
    pub(crate) body: Vec<u8>,
    /// What remained of its time, in microseconds.
    pub(crate) deadline_us: Option<u64>,
    pub(super) acts: mpsc::UnboundedSender<Act>,
}

impl Request {
    /// The answer that returns the argument as it came.
    pub(crate) fn echo(&self) -> Act {
        Act::Answer {
            call: self.call,
            body: self.body.clone(),
        }
    }

    /// The answer that a Python exception gives.
    pub(crate) fn exception(&self, type_name: &str, message: &str) -> Act {
        Act::Fail {
            call: self.call,
            error: RemoteError::new(Status::Exception, type_name, message),
        }
    }

    /// The answer with one of the worker's own verdicts.
    pub(crate) fn refusal(&self, status: Status, message: &str) -> Act {
        Act::Fail {
            call: self.call,
            error: RemoteError::new(status, status.name(), message),
        }
    }

    /// The argument, if it is a number.
    pub(crate) fn number(&self) -> u64 {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Answers a call that was held back.
    pub(crate) fn answer(&self) {
        self.then(self.echo());
    }

    /// Does something on the connection that the call came on. Nothing happens when that has ended.
    pub(crate) fn then(&self, act: Act) {
        let _ = self.acts.send(act);
    }
}
