//! JSON, strictly: what the two sides could understand differently is refused.

mod number;
mod read;
mod text;
mod write;

pub(crate) use read::read;
pub(crate) use write::JsonWriter;
