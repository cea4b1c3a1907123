//! The messages of the JSON protocol, which people can type and other programs already speak.
//!
//! Bodies travel as they are: nothing here decodes one. Keys that are not known are ignored.

mod reply;
mod request;

pub(crate) use reply::JsonReply;
pub(crate) use request::{JsonRequest, NO_ARGUMENTS};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::header::LENGTH_LEN;

/// Appends a message with its length in front, or nothing at all where it cannot be written.
pub(crate) fn write_framed(
    output: &mut Vec<u8>,
    limit: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Result<(), Unwritable> {
    let start = output.len();
    output.extend_from_slice(&[0; LENGTH_LEN]);
    let result = match write(output) {
        Ok(()) => {
            let bytes = output.len() - start - LENGTH_LEN;
            match u32::try_from(bytes) {
                Ok(length) if bytes <= limit => {
                    output[start..start + LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
                    return Ok(());
                }
                _ => Unwritable::TooLarge { bytes },
            }
        }
        Err(error) => Unwritable::NotJson {
            message: error.to_string(),
        },
    };
    output.truncate(start);
    Err(result)
}

/// Why a message was not appended.
#[derive(Debug, PartialEq)]
pub(crate) enum Unwritable {
    TooLarge { bytes: usize },
    NotJson { message: String },
}

/// Serde takes `null` for an absent option; here `null` is a body like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The body as a view into the payload.
fn view(payload: &Bytes, body: Option<&RawValue>, absent: &'static [u8]) -> Bytes {
    match body {
        Some(body) => payload.slice_ref(body.get().as_bytes()),
        None => Bytes::from_static(absent),
    }
}

/// Checks that a body can stand inside a message: it must be one JSON value and nothing more.
fn raw(body: &[u8]) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_slice(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_json_cannot_break_out_of_its_message() {
        for body in [&b"1,\"ok\":false"[..], b"", b"\xff", b"1 2"] {
            assert!(JsonReply::write_value(1, body, &mut Vec::new()).is_err());
            assert!(JsonRequest::write(1, "f", body, &mut Vec::new()).is_err());
        }
    }
}
