use std::error::Error as StdError;
use std::fmt;

use pyproc_proto::RemoteError;

/// A Python exception as it arrived from the worker.
///
/// It is also the [`source`](StdError::source) of the error that carries it, so that error reporters
/// print the traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonError {
    type_name: String,
    message: String,
    traceback: Option<String>,
}

impl PythonError {
    /// The name of the exception's type, qualified with its module unless it is a builtin: `ValueError`.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// What `str()` of the exception gave, cut to at most 64 KiB.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Type and message, as the last line of a traceback shows them.
    pub(crate) fn headline(&self) -> String {
        match self.message.as_str() {
            "" => self.type_name.clone(),
            message => format!("{}: {message}", self.type_name),
        }
    }

    /// The traceback as Python prints it, cut to at most 64 KiB.
    pub fn traceback(&self) -> Option<&str> {
        self.traceback.as_deref()
    }
}

impl From<RemoteError> for PythonError {
    fn from(error: RemoteError) -> Self {
        Self {
            type_name: error.type_name,
            message: error.message,
            traceback: error.traceback,
        }
    }
}

impl fmt::Display for PythonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.traceback {
            Some(traceback) => formatter.write_str(traceback.trim_end()),
            None => formatter.write_str(&self.headline()),
        }
    }
}

impl StdError for PythonError {}
