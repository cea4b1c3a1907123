//! How a body becomes bytes and comes back.

mod default;
mod error;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
mod path;
mod strict;

pub use default::DefaultCodec;
pub use error::CodecError;
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgPack;

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes arguments and decodes results.
///
/// A codec sees bodies only, never a header. Its methods are generic, so it is a type parameter
/// of a pool rather than an object; a codec of your own works like those that come with the
/// crate, provided that the worker knows one by the same name, which a Python script gives it with
/// `pyproc.register_codec`.
pub trait Codec: Clone + Debug + Send + Sync + 'static {
    /// The name by which the worker knows the codec; the `Hello` carries it.
    fn name(&self) -> &str;

    /// Appends the encoded value to `output`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] where the value cannot be expressed, naming the path to the part of it that
    /// cannot. What `output` then has beyond its earlier length is to be thrown away.
    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError>;

    /// Decodes a whole body; bytes after the value are an error.
    ///
    /// # Errors
    ///
    /// [`CodecError`] where the body is malformed or does not fit the type, naming the path to
    /// the part of it that does not.
    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError>;
}

/// How deep containers may be nested, in both codecs and both directions: with 128 the innermost
/// one is refused. Deeper values would be a way to overflow the other side's stack.
const MAX_DEPTH: u8 = 128;
