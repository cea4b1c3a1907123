//! The interpreter that the tests set up for themselves.

use std::path::PathBuf;

/// An interpreter that has the worker's optional packages, MessagePack among them.
///
/// # Panics
///
/// When it has not been set up.
pub fn python_with_packages() -> PathBuf {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`",
        python.display()
    );
    python
}
