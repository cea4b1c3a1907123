//! Replies of the JSON protocol.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{present, raw, view};
use crate::{ProtocolError, RemoteError, Status};

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

/// What a reply without a body returned.
const NO_VALUE: &[u8] = b"null";

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &'static str) -> Result<JsonReply, ProtocolError> {
        JsonReply::parse(&Bytes::from_static(text.as_bytes()))
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
}
