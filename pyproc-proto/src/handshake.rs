//! The first frame of each side. Their bodies are JSON whatever the codec, so that every version
//! can read every other's.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Kind, ProtocolError};

/// The version of the binary protocol that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// What the host says first. Keys that are not known are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that the host speaks.
    pub protocol: u32,
    /// The name of the pool's codec. A worker without it must refuse: a type parameter cannot
    /// follow a negotiation.
    pub codec: String,
    /// The largest length that a frame may state, in either direction, in bytes.
    pub max_frame: u64,
    /// How many calls the host will have in flight on this connection; 1 if it does not say.
    #[serde(default = "one")]
    pub max_in_flight: u32,
    /// How the deadlines of requests are written.
    #[serde(default)]
    pub deadline_clock: DeadlineClock,
    /// The pool's name, for logs and the process title.
    #[serde(default)]
    pub pool: String,
    /// The worker's place in the pool.
    #[serde(default)]
    pub slot: u32,
    /// How many processes the slot has had, this one included.
    #[serde(default)]
    pub generation: u64,
    /// The level from which on the host wants log records; Python's numbers, 20 (info) if it does
    /// not say.
    #[serde(default = "info")]
    pub log_level: u8,
    /// How long a worker that has nothing to do may look for the next request without blocking, at
    /// most, in microseconds, before it sleeps; 0, not at all, if the host does not say.
    #[serde(default)]
    pub spin_us: u32,
    /// In how many threads the worker is to run the functions that are not asynchronous; 1, its
    /// main one, if the host does not say.
    #[serde(default = "one")]
    pub threads: u32,
    /// What the descriptors are that travel beside the frame, in their order: `lifeline`,
    /// `state_page`, `stacks`. A worker closes those that it does not know.
    #[serde(default)]
    pub descriptors: Vec<String>,
    /// What the host could do beyond version 1; a worker ignores what it does not know.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// What the worker answers when it is ready for calls. Keys that are not known are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol that the connection goes on with.
    pub protocol: u32,
    /// The codec that the `Hello` named.
    pub codec: String,
    /// The worker's process id.
    pub pid: u32,
    /// The interpreter's version, such as `3.11.7`.
    pub python: String,
    /// The worker package that runs.
    pub package: Package,
    /// The functions that can be called; a request names one by its place here.
    pub functions: Vec<FunctionInfo>,
}

/// The worker package: which version of it runs, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// `embedded` when the host brought it, `installed` when the interpreter had it.
    pub origin: String,
    /// Whether the native core runs the worker's loop.
    #[serde(default)]
    pub native: bool,
}

/// A function that the worker exposes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// The name that calls use.
    pub name: String,
    /// How a body becomes arguments.
    #[serde(default)]
    pub arguments: ArgumentStyle,
    /// The parameters, in order.
    #[serde(default)]
    pub parameters: Vec<ParameterInfo>,
    /// The return annotation as text; empty if there is none.
    #[serde(default)]
    pub returns: String,
    /// Whether it is an `async def`.
    #[serde(default, rename = "async")]
    pub is_async: bool,
    /// Whether it yields a stream.
    #[serde(default, rename = "stream")]
    pub is_stream: bool,
    /// How many calls it takes at once, at most; 0 for a function that takes them one by one.
    #[serde(default)]
    pub batch: u32,
}

/// A parameter of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterInfo {
    /// Its name.
    pub name: String,
    /// Its annotation as text; empty if there is none.
    #[serde(default, rename = "type")]
    pub type_name: String,
    /// Whether it has no default.
    #[serde(default)]
    pub required: bool,
    /// Whether it is a stream, whose items follow the request.
    #[serde(default, rename = "stream")]
    pub is_stream: bool,
}

/// How the `deadline` of a request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeadlineClock {
    /// Absolute nanoseconds of `CLOCK_MONOTONIC`, so that time spent unread in a socket counts.
    /// Only for a worker on the same machine, which one that the host started is.
    Monotonic,
    /// The microseconds that remained when the frame was written. What is assumed when the host
    /// does not say, because it needs no common clock.
    #[default]
    Remaining,
}

/// How a body becomes a function's arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentStyle {
    /// The one parameter receives the body whole.
    #[default]
    Body,
    /// The body is a map, whose keys are the parameters' names.
    Keywords,
    /// There are no parameters; the body is an empty map or null.
    None,
}

fn one() -> u32 {
    1
}

fn info() -> u8 {
    20
}
/// Reads the body of a `Hello` or `Welcome`.
///
/// The version is looked at first and alone, because a later one may have changed all the rest.
pub(crate) fn parse<T: DeserializeOwned>(kind: Kind, body: &[u8]) -> Result<T, ProtocolError> {
    let malformed = |error: serde_json::Error| ProtocolError::MalformedBody {
        kind,
        message: error.to_string(),
    };
    let Version { protocol } = serde_json::from_slice(body).map_err(malformed)?;
    if protocol != PROTOCOL_VERSION {
        return Err(ProtocolError::VersionMismatch {
            ours: PROTOCOL_VERSION,
            theirs: protocol,
        });
    }
    serde_json::from_slice(body).map_err(malformed)
}

#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_may_leave_out_what_has_a_default_and_bring_what_is_not_known() {
        let body = br#"{"protocol":1,"codec":"json","max_frame":4096,"color":"blue"}"#;
        let hello: Hello = parse(Kind::Hello, body).expect("the rest has defaults");
        assert_eq!((hello.max_in_flight, hello.log_level), (1, 20));
        assert_eq!(hello.deadline_clock, DeadlineClock::Remaining);
    }

    #[test]
    fn another_version_is_named_even_when_nothing_else_can_be_read() {
        let refused = parse::<Welcome>(Kind::Welcome, br#"{"protocol":2,"codecs":["json"]}"#);
        let expected = ProtocolError::VersionMismatch { ours: 1, theirs: 2 };
        assert_eq!(refused, Err(expected));
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused() {
        let body = br#"{"protocol":1,"codec":"json","codec":"msgpack","max_frame":4096}"#;
        assert!(matches!(
            parse::<Hello>(Kind::Hello, body),
            Err(ProtocolError::MalformedBody { message, .. }) if message.contains("codec")
        ));
    }

    #[test]
    fn a_welcome_is_written_with_the_names_of_the_protocol() {
        let function = FunctionInfo {
            name: "classify".to_owned(),
            is_async: true,
            ..FunctionInfo::default()
        };
        let json = serde_json::to_value(function).expect("plain data");
        assert_eq!(json["async"], true);
        assert_eq!(json["arguments"], "body");
    }
}
