//! Why a body could not be encoded or decoded.

use std::error::Error;
use std::fmt;

/// A value that a codec cannot express, or a body that it cannot understand.
#[derive(Debug)]
pub struct CodecError {
    message: String,
    path: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl CodecError {
    /// An error for a codec of your own to return.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: None,
            source: None,
        }
    }

    /// The same error with the path to what is wrong, such as `$.flower.petal_length`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same error with what caused it. Its text belongs either there or into the message,
    /// lest a report print it twice.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What is wrong, without the path.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the value it is wrong, such as `$.flower.petal_length`, where that is known.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "{path}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
