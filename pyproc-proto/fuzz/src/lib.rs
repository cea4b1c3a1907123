//! What the fuzz targets have in common.
//!
//! Inputs are read by hand rather than derived, so that seeds can be written, and understood, by
//! people: see `README.md`.

mod memory;
mod script;
mod tree;

pub use memory::peak_of;
pub use script::Script;
pub use tree::Tree;

use pyproc_proto::{
    DeadlineClock, FunctionInfo, Hello, Limits, PROTOCOL_VERSION, Package, ParameterInfo, Welcome,
};
use std::time::Duration;

/// The frame limit under which everything is fuzzed, in bytes.
pub const MAX_FRAME: usize = 4096;

/// Limits small enough that a short script can reach them.
pub fn limits() -> Limits {
    Limits {
        max_frame: MAX_FRAME,
        handshake_timeout: Duration::from_millis(500),
        progress_timeout: Duration::from_millis(200),
        overdue_after: Duration::from_millis(100),
    }
}

/// A host's first words.
pub fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        codec: "json".to_owned(),
        max_frame: MAX_FRAME as u64,
        max_in_flight: 1,
        deadline_clock: DeadlineClock::Monotonic,
        pool: "iris".to_owned(),
        slot: 2,
        generation: 1,
        log_level: 20,
        spin_us: 0,
        threads: 1,
        descriptors: vec!["lifeline".to_owned()],
        capabilities: Vec::new(),
    }
}

/// A worker's answer to them, with two functions, one that yields a stream, one that takes one, one
/// that is asynchronous and one that runs batches.
pub fn welcome() -> Welcome {
    let function = |name: &str| FunctionInfo {
        name: name.to_owned(),
        ..FunctionInfo::default()
    };
    Welcome {
        protocol: PROTOCOL_VERSION,
        codec: "json".to_owned(),
        pid: 123,
        python: "3.11.7".to_owned(),
        package: Package::default(),
        functions: vec![
            function("classify"),
            function("health"),
            FunctionInfo {
                is_stream: true,
                ..function("generate")
            },
            FunctionInfo {
                parameters: vec![ParameterInfo {
                    is_stream: true,
                    ..ParameterInfo::default()
                }],
                ..function("total")
            },
            FunctionInfo {
                is_async: true,
                ..function("fetch")
            },
            FunctionInfo {
                batch: 8,
                ..function("score")
            },
        ],
    }
}

/// The bytes of a frame, well formed or not.
pub fn frame(kind: u8, flags: u8, index: u16, call: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = (12 + rest.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&index.to_be_bytes());
    bytes.extend_from_slice(&call.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

/// The bytes of a message of the JSON protocol.
pub fn message(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// The bytes as they are, or cut into pieces of several sizes, the smallest first: so a length is
/// cut, and a header, and where one frame ends and another begins.
pub fn pieces(bytes: &[u8], cut: bool) -> Vec<&[u8]> {
    const SIZES: [usize; 7] = [1, 1, 2, 3, 5, 8, 13];
    let mut sizes = SIZES.iter().cycle();
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let size = match sizes.next() {
            Some(size) if cut => *size,
            _ => rest.len(),
        };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
