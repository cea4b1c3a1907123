//! A call, as it is sent.

use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{Body, DeadlineClock, Metadata, Request};

use super::claim::{Claim, Priority};
use crate::deadline;

/// Whatever a line and a worker are to know of a call, in a form that needs no caller.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) function: Box<str>,
    pub(crate) body: Bytes,
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: Priority,
    pub(crate) key: Option<u64>,
    pub(crate) clock: DeadlineClock,
    pub(crate) metadata: Metadata,
    /// For a stream, what the worker may send of it at first.
    pub(crate) credit: Option<u32>,
    /// Whether its caller has items of an argument to send afterwards.
    pub(crate) has_items: bool,
}

impl Letter {
    /// What it asks for a place with.
    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim {
            function: &self.function,
            deadline: self.deadline,
            priority: self.priority,
            key: self.key,
        }
    }

    /// What a worker is sent.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            function: &self.function,
            body: Body::Shared(&self.body),
            deadline: self
                .deadline
                .map(|at| deadline::on_the_wire(at, self.clock)),
            metadata: &self.metadata,
            credit: self.credit,
            has_items: self.has_items,
        }
    }
}
