//! What may be set per call.

use std::time::Duration;

use pyproc_proto::{Metadata, MetadataTooLong};

use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Priority, Retry};

/// What may be set per call. What few calls have lies behind one pointer, so that a call without it allocates nothing
/// and stays small.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotent: bool,
    pub(crate) priority: Priority,
    /// What its key comes to.
    pub(super) key: Option<u64>,
    extras: Option<Box<Extras>>,
}

#[derive(Debug, Clone, Default)]
struct Extras {
    metadata: Metadata,
    /// Why there is not all in it that there should be.
    too_long: Option<MetadataTooLong>,
    retry: Option<Retry>,
}

/// What a call has to which none were added.
static NO_METADATA: Metadata = Metadata::new();

impl CallOptions {
    pub(crate) fn new(deadline: Option<Duration>) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }

    pub(crate) fn set_retry(&mut self, retry: Retry) {
        self.extras.get_or_insert_default().retry = Some(retry);
    }

    /// How the call is tried again, if it says so itself.
    pub(super) fn retry(&self) -> Option<Retry> {
        self.extras.as_ref()?.retry
    }

    /// Adds a pair. One that does not fit shows when the call is to be sent.
    pub(super) fn push_metadata(&mut self, key: String, value: String) {
        let extras = self.extras.get_or_insert_default();
        if let Err(too_long) = extras.metadata.push(key, value) {
            extras.too_long = Some(too_long);
        }
    }

    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] if they did not fit.
    pub(super) fn metadata(&self) -> Result<&Metadata> {
        match self.extras.as_deref() {
            None => Ok(&NO_METADATA),
            Some(Extras {
                too_long: Some(too_long),
                ..
            }) => Err(Error::new(ErrorKind::TooLarge, too_long.to_string())),
            Some(extras) => Ok(&extras.metadata),
        }
    }
}
