//! Bodies as JSON.

mod integers;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::path::locate;
use super::strict::{Format, Strict};
use super::{Codec, CodecError};

/// Bodies as JSON text.
///
/// What JSON cannot express is an error rather than something similar: NaN and the infinities,
/// integers outside `i64::MIN..=u64::MAX`, keys that are not strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn name(&self) -> &str {
        "json"
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let start = output.len();
        let mut serializer = serde_json::Serializer::new(&mut *output);
        let Err(error) = value.serialize(Strict::new(&mut serializer, Format::Json)) else {
            return Ok(());
        };
        output.truncate(start);
        let mut serializer = serde_json::Serializer::new(std::io::sink());
        let strict = Strict::new(&mut serializer, Format::Json);
        match serde_path_to_error::serialize(&value, strict) {
            Err(located) => Err(locate(&located)),
            // A value that encodes differently the second time has no path to tell.
            Ok(()) => Err(CodecError::new(error.to_string())),
        }
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        integers::check(body)?;
        let error = match serde_json::from_slice(body) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(located) => Err(locate(&located)),
            // The value itself is good, so what is wrong comes after it.
            Ok(_) => Err(CodecError::new(error.to_string())),
        }
    }
}
