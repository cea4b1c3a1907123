//! How the bytes of a connection travel.

mod socket;

pub(crate) use socket::{Received, SocketLane, Watch};
