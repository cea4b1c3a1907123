//! Frames that no honest worker would send.

use pyproc_proto::{Flags, HEADER_LEN, Header, Kind};

/// A frame of any kind for any call, right in its length.
pub(crate) fn frame(kind: Kind, call: u64, body: &[u8]) -> Vec<u8> {
    let header = Header {
        kind,
        flags: Flags::NONE,
        index: 0,
        call,
        length: u32::try_from(HEADER_LEN - 4 + body.len()).unwrap(),
    };
    [&header.encode()[..], body].concat()
}

/// A message of the JSON protocol.
pub(crate) fn json_message(value: &serde_json::Value) -> Vec<u8> {
    length_prefixed(value.to_string().as_bytes())
}

/// Any payload behind its length.
pub(crate) fn length_prefixed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], payload].concat()
}
