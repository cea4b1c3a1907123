//! The codec of a pool that does not choose one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, CodecError};

/// The codec of a pool that does not choose one: MessagePack when the feature `msgpack` is on,
/// else JSON.
///
/// It is one type under all features, because Cargo unifies them: a crate somewhere in the graph
/// that switches `msgpack` on changes what this speaks, and must not change any signature. A pool
/// whose codec must stay as it is names [`Json`](super::Json) or `MsgPack` instead.
#[derive(Clone, Debug, Default)]
pub struct DefaultCodec(Inner);

#[cfg(feature = "msgpack")]
type Inner = super::MsgPack;
#[cfg(not(feature = "msgpack"))]
type Inner = super::Json;

impl Codec for DefaultCodec {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        self.0.encode(value, output)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        self.0.decode(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_decides_what_it_speaks() {
        let expected = if cfg!(feature = "msgpack") {
            "msgpack"
        } else {
            "json"
        };
        assert_eq!(DefaultCodec::default().name(), expected);
    }
}
