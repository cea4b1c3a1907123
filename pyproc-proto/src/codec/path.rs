//! Where in a value something is wrong. It is worked out only after a failure, by doing the same
//! again while keeping track, so that success pays nothing for it.

use std::fmt::{Display, Write};

use serde_path_to_error::Segment;

use super::CodecError;

/// The codec's error for one that came with a path.
pub(super) fn locate<E: Display>(error: &serde_path_to_error::Error<E>) -> CodecError {
    CodecError::new(error.inner().to_string()).at(render(error.path()))
}

/// Writes a path the way the worker writes it: `$.flowers[3].petal_length`.
fn render(path: &serde_path_to_error::Path) -> String {
    let mut rendered = String::from("$");
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                // Writing to a string cannot fail.
                let _ = write!(rendered, "[{index}]");
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                rendered.push('.');
                rendered.push_str(key);
            }
            // The place is there, and has no name that serde would tell.
            Segment::Unknown => rendered.push_str(".?"),
        }
    }
    rendered
}
