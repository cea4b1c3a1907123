//! How much of a worker's output is passed on in a second.

use std::time::{Duration, Instant};

/// The window in which output is counted.
const WINDOW: Duration = Duration::from_secs(1);
/// More messages than that are for a file, not for a log that people read.
const MESSAGES: u64 = 1_000;
/// Leaves the host's log with a bounded cost even when all messages are long.
const BYTES: u64 = 1024 * 1024;

/// Admits messages up to a number and a size in every window, and counts the others.
#[derive(Debug)]
pub(super) struct Quota {
    window_started: Instant,
    admitted: Amount,
    dropped: Amount,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Amount {
    messages: u64,
    bytes: u64,
}

/// What was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped(Amount);

impl Quota {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window_started: now,
            admitted: Amount::default(),
            dropped: Amount::default(),
        }
    }

    /// Whether a message of this size is passed on.
    pub(super) fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        if now >= self.window_started + WINDOW && self.dropped.messages == 0 {
            self.begin(now);
        }
        let bytes = bytes as u64;
        // Once one was dropped, all are until that is reported: the log then has one gap, not many.
        let admitted = self.dropped.messages == 0
            && self.admitted.messages < MESSAGES
            && self.admitted.bytes + bytes <= BYTES;
        let amount = match admitted {
            true => &mut self.admitted,
            false => &mut self.dropped,
        };
        amount.messages += 1;
        amount.bytes += bytes;
        admitted
    }

    /// When what was dropped is due to be reported.
    pub(super) fn report_at(&self) -> Option<Instant> {
        (self.dropped.messages > 0).then(|| self.window_started + WINDOW)
    }

    /// What was dropped since this was asked last. A new window begins.
    pub(super) fn take_dropped(&mut self, now: Instant) -> Option<Dropped> {
        let dropped = self.dropped;
        self.begin(now);
        (dropped.messages > 0).then_some(Dropped(dropped))
    }

    fn begin(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

impl Dropped {
    /// `unit` is what the messages are called: `lines`.
    pub(super) fn in_words(self, unit: &str) -> String {
        let Amount { messages, bytes } = self.0;
        format!(
            "{messages} {unit} with {bytes} bytes were dropped: more than {MESSAGES} {unit} or {BYTES} bytes in a second"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_quota_is_counted_until_the_window_ends() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        for _ in 0..MESSAGES {
            assert!(quota.admits(10, start));
        }
        assert_eq!(quota.report_at(), None);
        assert!(!quota.admits(10, start));
        assert!(!quota.admits(7, start));
        assert_eq!(quota.report_at(), Some(start + WINDOW));

        let dropped = quota.take_dropped(start + WINDOW).unwrap();
        assert!(
            dropped
                .in_words("records")
                .starts_with("2 records with 17 bytes")
        );
        assert!(quota.admits(10, start + WINDOW));
        assert_eq!(quota.take_dropped(start + WINDOW), None);
    }

    #[test]
    fn bytes_count_as_well() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        for _ in 0..BYTES / 8192 {
            assert!(quota.admits(8192, start));
        }
        assert!(!quota.admits(8192, start));
    }

    #[test]
    fn a_slow_writer_never_loses_a_message() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        for second in 0..10 {
            for _ in 0..MESSAGES {
                assert!(quota.admits(10, start + WINDOW * second));
            }
        }
    }
}
