//! How much memory a worker holds.

/// The memory that a process holds right now (its resident set), in bytes; `None` where the system does not say.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The memory that a process holds right now, which is not known here.
#[cfg(not(all(target_os = "linux", not(pyproc_portable))))]
pub(crate) fn resident_bytes(_pid: u32) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux", not(pyproc_portable)))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_fills_memory_grows_by_as_much() {
        let before = resident_bytes(std::process::id()).unwrap();
        let filled = vec![1_u8; 64 << 20];
        let after = resident_bytes(std::process::id()).unwrap();
        // Other tests of this process may give memory back meanwhile.
        assert!(after > before + (32 << 20), "{before} {after}");
        drop(std::hint::black_box(filled));
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
