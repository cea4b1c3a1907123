//! What workers say, passed on: as `tracing` events, or to the host's stderr when nobody listens.

mod stderr;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::error::Error;

/// The worker that said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub pool: Arc<str>,
    pub slot: usize,
    /// `None` for a worker that somebody else started and that has not said.
    pub pid: Option<u32>,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pool, self.slot)
    }
}

/// Passes on one message of a worker.
///
/// It becomes a `tracing` event with the target `pyproc::worker` and the fields `pool`, `slot`,
/// `pid` and `logger` (the name of the Python logger, or `stdout` or `stderr`). A program that has
/// never set a `tracing` dispatcher would lose it, so there it goes to the host's stderr instead,
/// as `[pool/slot] message`, as far as that is read.
pub(crate) fn log(origin: &Origin, level: Level, logger: &str, message: &str) {
    if !tracing::dispatcher::has_been_set() {
        stderr::write(plain(origin, message));
        return;
    }
    // The level of an event is part of its static call site, hence one call site per level.
    macro_rules! event_at {
        ($($level:ident),*) => {
            match level {
                $(Level::$level => tracing::event!(
                    target: "pyproc::worker",
                    Level::$level,
                    pool = %origin.pool,
                    slot = origin.slot,
                    pid = origin.pid,
                    logger,
                    "{message}"
                ),)*
            }
        };
    }
    event_at!(TRACE, DEBUG, INFO, WARN, ERROR);
}

/// Reports the loss of a worker, and what follows: a new one, or none any more.
///
/// It becomes a `tracing` event with the target `pyproc::pool`; without a dispatcher it goes to the
/// host's stderr, like what workers say.
pub(crate) fn loss(origin: &Origin, failure: &str, next: Next) {
    let Origin { pool, slot, .. } = origin;
    if !tracing::dispatcher::has_been_set() {
        stderr::write(plain(origin, &format!("{failure}; {next}")));
        return;
    }
    match next {
        Next::Successor { .. } | Next::Replaced | Next::Kept => {
            tracing::warn!(target: "pyproc::pool", %pool, slot, failure, "worker lost, {next}");
        }
        Next::Probe { .. } | Next::Nobody => {
            tracing::error!(target: "pyproc::pool", %pool, slot, failure, "worker lost, {next}");
        }
    }
}

/// Reports a function that keeps the event loop of its worker busy.
///
/// It becomes a `tracing` event with the target `pyproc::pool`; without a dispatcher it goes to the
/// host's stderr, like what workers say.
pub(crate) fn blocked_loop(
    origin: &Origin,
    function: &str,
    blocked_for: Duration,
    stacks: Option<&str>,
) {
    let Origin { pool, slot, .. } = origin;
    let stacks = stacks.unwrap_or_default();
    if tracing::dispatcher::has_been_set() {
        tracing::warn!(target: "pyproc::pool", %pool, slot, function, ?blocked_for, stacks, "the event loop is blocked");
    } else {
        let text = format!("`{function}` has blocked the event loop for {blocked_for:?}\n{stacks}");
        stderr::write(plain(origin, text.trim_end()));
    }
}

/// Reports the error of a call for whose end nobody waits.
///
/// It becomes a `tracing` event with the target `pyproc::pool`; without a dispatcher it goes to the
/// host's stderr, like what workers say.
pub(crate) fn failed_one_way(pool: &str, error: &Error) {
    if !tracing::dispatcher::has_been_set() {
        let text = format!("{error}; nobody waits for it").replace('\n', &format!("\n[{pool}] "));
        stderr::write(format!("[{pool}] {text}\n"));
        return;
    }
    let (function, kind, fate) = (error.function(), error.kind(), error.fate());
    tracing::warn!(target: "pyproc::pool", pool, function, ?kind, %fate, "a one-way call failed: {error}");
}

/// Waits until what was said is written, where it goes to the host's stderr: a program that ends right after its pool
/// does not lose it. Takes a second at most, when nobody reads there.
///
/// Cancel safety: nothing is lost as long as the program runs.
pub(crate) async fn flush() {
    stderr::flush(Duration::from_secs(1)).await;
}

/// What follows the loss of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    Successor {
        delay: Duration,
    },
    /// Another has taken over, or is about to.
    Replaced,
    /// It was to take over from another, which stays.
    Kept,
    /// The slot is degraded, and is tried again after this time.
    Probe {
        delay: Duration,
    },
    Nobody,
}

impl fmt::Display for Next {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Successor { delay } => {
                write!(
                    formatter,
                    "a new one is started in {} ms",
                    delay.as_millis()
                )
            }
            Self::Probe { delay } => {
                let delay = delay.as_secs_f64();
                write!(
                    formatter,
                    "the slot is degraded, and is tried again in {delay:.1} s"
                )
            }
            Self::Replaced => formatter.write_str("another takes over"),
            Self::Kept => formatter.write_str("the one that it was to replace stays"),
            Self::Nobody => formatter.write_str("the slot is given up"),
        }
    }
}

/// The message as it goes to the host's stderr: every line of it carries the prefix, and all of it
/// is one write, so that the lines of several workers do not mix.
fn plain(origin: &Origin, message: &str) -> String {
    let mut text = String::with_capacity(message.len() + 32);
    for line in message.split('\n') {
        text.push_str(&format!("[{origin}] {line}\n"));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    fn origin() -> Origin {
        Origin {
            pool: "iris".into(),
            slot: 2,
            pid: Some(77),
        }
    }

    #[test]
    fn every_line_of_a_plain_message_carries_the_prefix() {
        assert_eq!(plain(&origin(), "one"), "[iris/2] one\n");
        assert_eq!(plain(&origin(), "a\nb"), "[iris/2] a\n[iris/2] b\n");
    }

    #[test]
    fn an_event_carries_the_worker_and_the_level() {
        let seen = Seen::default();
        tracing::subscriber::with_default(seen.clone(), || {
            log(&origin(), Level::WARN, "sklearn", "slow");
        });

        let events = seen.0.lock().unwrap();
        let (level, fields) = &events[0];
        assert_eq!(*level, Level::WARN);
        let expected = [
            ("logger", "sklearn"),
            ("message", "slow"),
            ("pid", "77"),
            ("pool", "iris"),
            ("slot", "2"),
        ];
        let actual: Vec<_> = fields
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn a_process_that_is_not_known_is_left_out() {
        let seen = Seen::default();
        let origin = Origin {
            pid: None,
            ..origin()
        };
        tracing::subscriber::with_default(seen.clone(), || log(&origin, Level::WARN, "x", "y"));
        assert!(!seen.0.lock().unwrap()[0].1.contains_key("pid"));
    }

    type Fields = BTreeMap<&'static str, String>;

    /// A subscriber that keeps what workers said.
    #[derive(Clone, Default)]
    pub(crate) struct Seen(Arc<Mutex<Vec<(Level, Fields)>>>);

    impl Seen {
        /// The loggers and messages so far.
        pub(crate) fn messages(&self) -> Vec<(String, String)> {
            let events = self.0.lock().unwrap();
            let pair = |(_, fields): &(Level, Fields)| {
                (fields["logger"].clone(), fields["message"].clone())
            };
            events.iter().map(pair).collect()
        }
    }

    impl Subscriber for Seen {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "pyproc::worker"
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Collected::default();
            event.record(&mut fields);
            let level = *event.metadata().level();
            self.0.lock().unwrap().push((level, fields.0));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[derive(Default)]
    struct Collected(Fields);

    impl Visit for Collected {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name(), value.to_owned());
        }
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }
}
