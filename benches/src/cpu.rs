//! Processor time, of this process and of others.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::cores;

/// What this process has used so far, threads that have ended included.
pub(crate) fn own() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// What the living threads of other processes have used so far, where the system tells (Linux, schedstat). It is told
/// to the nanosecond, while the ticks of `/proc/*/stat` would round an idle pool down to nothing.
pub(crate) fn of(processes: &[u32]) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for &pid in processes {
        for thread in cores::threads(pid).ok()? {
            // A thread may have ended since it was listed.
            if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) {
                sum += on_processor(&text)?;
            }
        }
    }
    Some(sum)
}

/// The first number of a schedstat: nanoseconds on a processor.
fn on_processor(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_a_processor_is_read() {
        let time = on_processor("1234567 890 12\n");
        assert_eq!(time, Some(Duration::from_nanos(1_234_567)));
        assert_eq!(on_processor(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn both_sources_agree_about_this_process() {
        let before = own();
        let listed = of(&[std::process::id()]).unwrap();
        // Threads of other tests may have ended, and a running thread's share is written down with a delay.
        assert!(
            listed <= own() + Duration::from_millis(20),
            "{before:?} {listed:?}"
        );
    }
}
