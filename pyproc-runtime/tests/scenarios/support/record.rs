//! What a fake worker has seen.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Request;

/// The worker's side of the story, over all its connections.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// When each connection was accepted.
    pub(crate) connections: Vec<Instant>,
    /// How many connections have ended, from either side.
    pub(crate) ended: usize,
    /// The calls in the order of their arrival, checks of health excepted.
    pub(crate) requests: Vec<Request>,
    /// The calls that were answered, by connection and id.
    pub(crate) answered: BTreeSet<(usize, u64)>,
    /// How often its health was asked for.
    pub(crate) health_checks: usize,
    /// The calls that the host does not want any more.
    pub(crate) cancelled: Vec<u64>,
    /// How often the host has said that it will send no more.
    pub(crate) drained: usize,
    /// What the host did wrong.
    pub(crate) violations: Vec<String>,
}
