//! Which descriptors the process has open.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The open descriptors and what they stand for.
pub(super) fn open_descriptors() -> BTreeMap<u32, PathBuf> {
    let numbers: Vec<u32> = std::fs::read_dir("/dev/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The descriptor of the listing itself is closed by now, and so has no name any more.
    let named = |number| {
        Some((
            number,
            std::fs::read_link(format!("/dev/fd/{number}")).ok()?,
        ))
    };
    numbers.into_iter().filter_map(named).collect()
}
