//! Bodies as MessagePack.

mod claims;

use std::io;

use rmp_serde::decode::Error as DecodeError;
use rmp_serde::{Deserializer, Serializer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::path::locate;
use super::strict::{Format, Strict};
use super::{Codec, CodecError, MAX_DEPTH};

/// Bodies as MessagePack.
///
/// Structs are maps with the names of their fields, as Python has them, and types that have a
/// readable form use it, as they do in JSON: so a value is the same to a worker under either
/// codec. Only bytes are better off: what serializes as bytes (through `serde_bytes`, say) stays
/// bytes. Floats are exact, NaN and the infinities among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgPack;

impl Codec for MsgPack {
    fn name(&self) -> &str {
        "msgpack"
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let start = output.len();
        let mut serializer = serializer(&mut *output);
        let Err(error) = value.serialize(Strict::new(&mut serializer, Format::MsgPack)) else {
            return Ok(());
        };
        output.truncate(start);
        let mut serializer = self::serializer(io::sink());
        let strict = Strict::new(&mut serializer, Format::MsgPack);
        match serde_path_to_error::serialize(&value, strict) {
            Err(located) => Err(locate(&located)),
            // A value that encodes differently the second time has no path to tell.
            Ok(()) => Err(CodecError::new(error.to_string())),
        }
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        claims::check(body)?;
        let mut deserializer = deserializer(body);
        if let Ok(value) = T::deserialize(&mut deserializer) {
            return check_end(&mut deserializer).map(|()| value);
        }
        let mut deserializer = self::deserializer(body);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(located) => Err(locate(&located)),
            Ok(_) => Err(CodecError::new("the body decodes differently each time")),
        }
    }
}

type Readable<C> = rmp_serde::config::HumanReadableConfig<C>;
type Named = rmp_serde::config::StructMapConfig<rmp_serde::config::DefaultConfig>;
type SliceReader<'de> = rmp_serde::decode::ReadRefReader<'de, [u8]>;

fn serializer<W: io::Write>(output: W) -> Serializer<W, Readable<Named>> {
    Serializer::new(output)
        .with_struct_map()
        .with_human_readable()
}

fn deserializer(body: &[u8]) -> Deserializer<SliceReader<'_>, Readable<DefaultConfig>> {
    let mut deserializer = Deserializer::from_read_ref(body).with_human_readable();
    deserializer.set_max_depth(usize::from(MAX_DEPTH));
    deserializer
}

type DefaultConfig = rmp_serde::config::DefaultConfig;

/// Refuses bytes after the value. The deserializer does not tell where it stands, but it can be
/// asked for one more value, of which there must not even be a first byte. It is asked for a unit,
/// because that never reads beyond the first byte.
fn check_end<'de>(
    deserializer: &mut Deserializer<SliceReader<'de>, Readable<DefaultConfig>>,
) -> Result<(), CodecError> {
    match <()>::deserialize(deserializer) {
        Err(DecodeError::InvalidMarkerRead(error))
            if error.kind() == io::ErrorKind::UnexpectedEof =>
        {
            Ok(())
        }
        _ => Err(CodecError::new("there are bytes after the value")),
    }
}
