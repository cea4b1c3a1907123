//! What a worker says of a failure.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Status;

/// What went wrong in the worker, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// The worker's verdict.
    pub status: Status,
    /// The Python exception's type, such as `ValueError`; empty where the worker did not say.
    pub type_name: String,
    /// The exception's message, at most 64 KiB when it comes from our worker.
    pub message: String,
    /// The formatted traceback, if there is one.
    pub traceback: Option<String>,
}

/// The body of an `Error` frame: JSON, whatever the codec.
#[derive(Serialize, Deserialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    type_name: Cow<'a, str>,
    message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceback: Option<Cow<'a, str>>,
}

impl RemoteError {
    /// An error without a traceback.
    pub fn new(status: Status, type_name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            type_name: type_name.into(),
            message: message.into(),
            traceback: None,
        }
    }

    /// The body of the `Error` frame that carries this.
    pub(crate) fn to_body(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&ErrorBody {
            type_name: self.type_name.as_str().into(),
            message: self.message.as_str().into(),
            traceback: self.traceback.as_deref().map(Into::into),
        })
    }

    pub(crate) fn from_body(status: Status, body: &[u8]) -> Result<Self, serde_json::Error> {
        let body: ErrorBody<'_> = serde_json::from_slice(body)?;
        Ok(Self {
            status,
            type_name: body.type_name.into_owned(),
            message: body.message.into_owned(),
            traceback: body.traceback.map(Cow::into_owned),
        })
    }

    /// The same error with less text: first without its traceback, then with half the message,
    /// and so on. `None` once there is nothing left to leave out.
    pub(crate) fn shortened(&self) -> Option<Self> {
        let mut shorter = self.clone();
        if shorter.traceback.take().is_some() {
            return Some(shorter);
        }
        if shorter.message.is_empty() {
            return None;
        }
        halve(&mut shorter.message);
        Some(shorter)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.type_name.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.type_name, self.message)
    }
}

impl Error for RemoteError {}

/// Cuts a text in half, at the border of a character.
pub(crate) fn halve(text: &mut String) {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle -= 1;
    }
    text.truncate(middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shortened_from_its_traceback_and_ends_empty() {
        let mut error = RemoteError::new(Status::Exception, "ValueError", "ä".repeat(100));
        error.traceback = Some("Traceback".to_owned());
        let mut steps = 0;
        while let Some(shorter) = error.shortened() {
            error = shorter;
            steps += 1;
        }
        assert_eq!((error.message.as_str(), error.traceback), ("", None));
        assert!(steps < 12);
    }
}
