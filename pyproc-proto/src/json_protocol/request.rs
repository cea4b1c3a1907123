//! Requests of the JSON protocol.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{present, raw, view};
use crate::{RemoteError, Status};

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

impl InvalidRequest {
    /// The error that answers it.
    pub(crate) fn into_error(self) -> RemoteError {
        RemoteError::new(Status::InvalidBody, "invalid_request", self.message)
    }
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

/// What a request without a body calls the function with.
pub(crate) const NO_ARGUMENTS: &[u8] = b"{}";

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
}
