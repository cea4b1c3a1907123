//! A record of the worker's `logging`, on its way to the host's log.

use serde::{Deserialize, Serialize};

use crate::CallId;

/// One record of the worker's `logging`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Python's numeric level: 10 debug, 20 info, 30 warning, 40 error, 50 critical.
    pub level: u8,
    /// The name of the logger that the record was given to.
    pub logger: String,
    /// The message with its arguments put in.
    pub message: String,
    /// The call that was running, if the record was made by one.
    #[serde(skip)]
    pub call: Option<CallId>,
}
