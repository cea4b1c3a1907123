//! What an error has to tell.

use std::error::Error as _;

use pyproc::{Error, ErrorKind, Fate};

/// What a program that prints an error with all its sources would print.
pub fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push('\n');
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Asserts what an error is, and that it names each of the culprits.
///
/// # Panics
///
/// When it is something else, or leaves one of them out.
pub fn assert_error(error: &Error, kind: ErrorKind, fate: Fate, culprits: &[&str]) {
    let said = said(error);
    assert_eq!((error.kind(), error.fate()), (kind, fate), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines.len() < 2 || lines[0] != lines[1],
        "said twice:\n{said}"
    );
    for culprit in culprits {
        assert!(
            said.contains(culprit),
            "the error does not name `{culprit}`:\n{said}"
        );
    }
}
