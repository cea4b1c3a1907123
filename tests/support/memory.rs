//! How much memory processes need.

/// What processes had in use when their peaks began anew.
pub struct Peaks(Vec<(u32, u64)>);

impl Peaks {
    pub fn of(processes: impl IntoIterator<Item = u32>) -> Self {
        let peak = |process| {
            forget_peak(process);
            (process, peak_resident(process))
        };
        Self(processes.into_iter().map(peak).collect())
    }

    /// # Panics
    ///
    /// When one of them has had more in use than then and this, be it for a moment.
    pub fn assert_grown_by_at_most(&self, bytes: u64) {
        for &(process, before) in &self.0 {
            let grown = peak_resident(process).saturating_sub(before);
            assert!(
                grown <= bytes,
                "process {process} has grown by {grown} bytes"
            );
        }
    }
}

/// How many bytes of memory a process had in use at its worst since it was told to forget that.
fn peak_resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// Makes [`peak_resident`] begin anew.
fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}
