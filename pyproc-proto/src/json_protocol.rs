//! The messages of the JSON protocol, which people can type and other programs already speak.
//!
//! Bodies travel as they are: nothing here decodes one. Keys that are not known are ignored.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::header::LENGTH_LEN;
use crate::{ProtocolError, RemoteError, Status};

/// What a request without a body calls the function with.
pub(crate) const NO_ARGUMENTS: &[u8] = b"{}";

/// What a reply without a body returned.
const NO_VALUE: &[u8] = b"null";

/// A request, as a worker reads it.
#[derive(Debug, PartialEq)]
pub(crate) struct JsonRequest {
    pub(crate) id: u64,
    pub(crate) method: String,
    pub(crate) body: Bytes,
}

/// A request that cannot be understood, with the id to answer it under, if it shows one.
#[derive(Debug, PartialEq)]
pub(crate) struct InvalidRequest {
    pub(crate) id: Option<u64>,
    pub(crate) message: String,
}

impl JsonRequest {
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, InvalidRequest> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            id: u64,
            #[serde(borrow)]
            method: Cow<'a, str>,
            #[serde(borrow, default, deserialize_with = "present")]
            body: Option<&'a RawValue>,
        }
        match serde_json::from_slice::<Wire<'_>>(payload) {
            Ok(wire) => Ok(Self {
                id: wire.id,
                method: wire.method.into_owned(),
                body: view(payload, wire.body, NO_ARGUMENTS),
            }),
            Err(error) => Err(InvalidRequest {
                id: find_id(payload),
                message: error.to_string(),
            }),
        }
    }

    /// Appends a request with a body that is JSON already.
    pub(crate) fn write(
        id: u64,
        method: &str,
        body: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: u64,
            method: &'a str,
            body: &'a RawValue,
        }
        let body = raw(body)?;
        serde_json::to_writer(output, &Wire { id, method, body })
    }
}

/// A reply, as a host reads it.
#[derive(Debug, PartialEq)]
pub(crate) struct JsonReply {
    pub(crate) id: u64,
    pub(crate) outcome: Result<Bytes, RemoteError>,
}

impl JsonReply {
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, ProtocolError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            id: u64,
            ok: bool,
            #[serde(borrow, default, deserialize_with = "present")]
            body: Option<&'a RawValue>,
            #[serde(borrow, default)]
            error: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            error_type: Option<Cow<'a, str>>,
            #[serde(default)]
            traceback: Option<String>,
        }
        let malformed = |message: String| ProtocolError::MalformedMessage { message };
        let wire: Wire<'_> =
            serde_json::from_slice(payload).map_err(|error| malformed(error.to_string()))?;
        if wire.ok {
            let outcome = Ok(view(payload, wire.body, NO_VALUE));
            return Ok(Self {
                id: wire.id,
                outcome,
            });
        }
        let Some(message) = wire.error else {
            return Err(malformed(r#"a failed reply has no "error""#.to_owned()));
        };
        let type_name = wire.error_type.unwrap_or_default().into_owned();
        let error = RemoteError {
            status: Status::from_error_type(&type_name),
            type_name,
            message: message.into_owned(),
            traceback: wire.traceback,
        };
        Ok(Self {
            id: wire.id,
            outcome: Err(error),
        })
    }

    /// Appends a reply with a body that is JSON already.
    pub(crate) fn write_value(
        id: u64,
        body: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: u64,
            ok: bool,
            body: &'a RawValue,
        }
        let (ok, body) = (true, raw(body)?);
        serde_json::to_writer(output, &Wire { id, ok, body })
    }

    /// Appends an error reply. An exception goes by its Python type, everything else by the name
    /// of its status, so that a host can tell what the worker decided from what the function did.
    pub(crate) fn write_error(
        id: u64,
        error: &RemoteError,
        output: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: u64,
            ok: bool,
            error: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            error_type: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            traceback: Option<&'a str>,
        }
        let error_type = match error.status {
            Status::Exception => error.type_name.as_str(),
            status => status.name(),
        };
        let wire = Wire {
            id,
            ok: false,
            error: &error.message,
            error_type,
            traceback: error.traceback.as_deref(),
        };
        serde_json::to_writer(output, &wire)
    }
}

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

/// The error that answers a request which cannot be understood.
pub(crate) fn invalid_request(message: String) -> RemoteError {
    RemoteError::new(Status::InvalidBody, "invalid_request", message)
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

/// The id of a request in which something else is wrong.
fn find_id(payload: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
    }
    let text = std::str::from_utf8(payload).ok()?;
    let wire: Wire = serde_json::from_str(text).ok()?;
    Some(wire.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &'static str) -> Result<JsonRequest, InvalidRequest> {
        JsonRequest::parse(&Bytes::from_static(text.as_bytes()))
    }

    fn reply(text: &'static str) -> Result<JsonReply, ProtocolError> {
        JsonReply::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn an_absent_body_is_no_arguments_and_null_is_null() {
        let absent = request(r#"{"id":1,"method":"f"}"#).expect("well formed");
        let null = request(r#"{"id":1,"method":"f","body":null}"#).expect("well formed");
        assert_eq!((&*absent.body, &*null.body), (&b"{}"[..], &b"null"[..]));
    }

    #[test]
    fn a_body_arrives_as_it_was_typed() {
        let typed = request(r#"{"extra":[], "body": { "a" :1e400} ,"method":"\u0066","id":0}"#);
        let expected = JsonRequest {
            id: 0,
            method: "f".to_owned(),
            body: Bytes::from_static(br#"{ "a" :1e400}"#),
        };
        assert_eq!(typed, Ok(expected));
    }

    #[test]
    fn a_malformed_request_keeps_its_id_where_it_shows_one() {
        for (text, id) in [
            (r#"{"id":9}"#, Some(9)),
            (r#"{"id":9,"method":3}"#, Some(9)),
            (r#"{"id":9,"method":"f","method":"g"}"#, Some(9)),
            (r#"{"method":"f"}"#, None),
            (r#"{"id":-1,"method":"f"}"#, None),
            (r#"{"id":18446744073709551616,"method":"f"}"#, None),
            (r#"{"id":1,"id":2,"method":"f"}"#, None),
            (r#"{"id":9,"method":"f"} x"#, None),
            (r#"{"id":9"#, None),
            ("[]", None),
        ] {
            let invalid = request(text).expect_err(text);
            assert_eq!(invalid.id, id, "{text}");
        }
    }

    #[test]
    fn a_failed_reply_must_say_why() {
        assert!(reply(r#"{"id":1,"ok":false}"#).is_err());
        assert!(reply(r#"{"id":1}"#).is_err());
        assert!(reply(r#"{"ok":true}"#).is_err());
        let failed = reply(r#"{"id":1,"ok":false,"error":"no"}"#).expect("well formed");
        let error = RemoteError::new(Status::Exception, "", "no");
        assert_eq!(failed.outcome, Err(error));
    }

    #[test]
    fn an_error_keeps_its_status_across_the_wire() {
        for (status, type_name) in [
            (Status::Exception, "ValueError"),
            (Status::Draining, "draining"),
            (Status::InvalidArgument, "invalid_argument"),
        ] {
            let error = RemoteError::new(status, type_name, "why");
            let mut output = Vec::new();
            JsonReply::write_error(3, &error, &mut output).expect("plain text");
            let reply = JsonReply::parse(&output.into()).expect("well formed");
            assert_eq!(reply.outcome, Err(error));
        }
    }

    #[test]
    fn a_body_that_is_not_json_cannot_break_out_of_its_message() {
        for body in [&b"1,\"ok\":false"[..], b"", b"\xff", b"1 2"] {
            assert!(JsonReply::write_value(1, body, &mut Vec::new()).is_err());
            assert!(JsonRequest::write(1, "f", body, &mut Vec::new()).is_err());
        }
    }
}
