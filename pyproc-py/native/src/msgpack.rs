//! MessagePack, as the two sides use it: maps have text for keys, and there are no extensions.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::MsgPackWriter;
