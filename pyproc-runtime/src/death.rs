//! How a worker ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::error::{Error, ErrorKind, Fate, WorkerIdentity};
use crate::worker::Exit;

/// The report of a worker's end: which worker it was, why it ended, and what it left behind.
///
/// [`Error::death`] gives it for a call that the worker took with it. `Display` says the cause in words, and how long
/// the worker had been ready.
#[derive(Debug, Clone)]
pub struct DeathReport {
    pub(crate) worker: WorkerIdentity,
    pub(crate) cause: Cause,
    pub(crate) exit: Option<Exit>,
    pub(crate) uptime: Duration,
    pub(crate) calls_served: u64,
    /// Whether there was an answer to a call among them, and not only to checks of its health.
    pub(crate) has_answered: bool,
    pub(crate) stacks: String,
    pub(crate) stderr: String,
}

/// What is added to the exit of a process whose control group ran out of memory.
pub(crate) const OUT_OF_MEMORY: &str = ", probably out of memory";

/// Why a worker was buried.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// The process ended by itself, or was killed from outside.
    Exited,
    /// The process was killed, and the kernel has killed in its control group for want of memory.
    OutOfMemory,
    /// The worker has ended by itself and in good order: it said goodbye, and then exited.
    Left,
    /// The worker was to end and had nothing left to do, and then did not exit in time.
    Lingered,
    /// The process closed its end of the connection and lived on.
    ConnectionClosed,
    /// The connection failed.
    ConnectionFailed(String),
    /// The worker sent what the protocol does not allow.
    Protocol(String),
    /// A call was still running some time after its deadline, or after it was cancelled.
    Overdue(String),
    /// A call did not end that shared its worker with others, and they have ended, or could not be waited for.
    Abandoned(String),
    /// The health check failed.
    Unhealthy(String),
    /// The pool was shut down, and the worker did not finish in time.
    Shutdown,
}

impl DeathReport {
    /// The worker that ended.
    pub fn worker(&self) -> &WorkerIdentity {
        &self.worker
    }

    /// How the process ended; `None` for a worker that somebody else started. It may have been the pool that killed it,
    /// which `Display` tells.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// How long the worker had been ready.
    pub fn uptime(&self) -> Duration {
        self.uptime
    }

    /// How many answers of the worker had been read, those to checks of its health included.
    pub fn calls_served(&self) -> u64 {
        self.calls_served
    }

    /// The Python stacks of all of the worker's threads, innermost call first: at the crash of a C extension, or before
    /// a worker that was stuck was killed. At most 64 KiB; `None` where there are none.
    pub fn stacks(&self) -> Option<&str> {
        Some(self.stacks.as_str()).filter(|stacks| !stacks.is_empty())
    }

    /// The last lines that the worker wrote to its standard error, at most 20 lines and 4 KiB; empty if there were none.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Whether the worker ended as it should, if not when the pool had expected it.
    pub(crate) fn is_in_good_order(&self) -> bool {
        matches!(self.cause, Cause::Left)
    }

    /// What was done about the worker: one that somebody else started is never killed.
    fn measure(&self) -> &'static str {
        match self.exit {
            Some(_) => "killed",
            None => "given up",
        }
    }

    /// The error of a call that was in flight on the worker.
    pub(crate) fn error(self: &Arc<Self>, fate: Fate) -> Error {
        self.describe(Error::new(self.kind(), self.to_string()).with_fate(fate))
    }

    /// The error of a call that is not moved any further: this worker was the last of so many that have died when they
    /// would have begun it next.
    pub(crate) fn error_unbegun(self: &Arc<Self>, workers: u32) -> Error {
        let message = format!(
            "{workers} workers have died when they would have begun this call next, so no other gets it; the last one: {self}"
        );
        self.describe(Error::new(self.kind(), message).with_fate(Fate::NotStarted))
    }

    fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Protocol(_) => ErrorKind::Protocol,
            Cause::Shutdown => ErrorKind::Closed,
            _ => ErrorKind::WorkerDied,
        }
    }

    /// The error of a pool's start that ends because this worker, which was ready, was lost before the others were.
    pub(crate) fn start_error(self: &Arc<Self>) -> Error {
        let message = format!("a worker was lost before all were ready: {self}");
        self.describe(Error::new(ErrorKind::Start, message))
    }

    /// Adds who it was, how it ended, and what it said last.
    fn describe(self: &Arc<Self>, error: Error) -> Error {
        let error = error
            .with_worker(self.worker.clone())
            .with_exit(self.exit)
            .with_death(Arc::clone(self));
        match LastWords::new(&self.stacks, &self.stderr) {
            Some(last_words) => error.with_source(last_words),
            None => error,
        }
    }
}

impl fmt::Display for DeathReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, self.exit) {
            (Cause::Exited, Some(exit)) => {
                write!(formatter, "the worker died: {exit}{}", likely_cause(exit))?;
            }
            (Cause::Exited, None) => formatter.write_str("the worker died")?,
            (Cause::OutOfMemory, Some(exit)) => {
                write!(formatter, "the worker died: {exit}{OUT_OF_MEMORY}")?;
            }
            (Cause::OutOfMemory, None) => write!(formatter, "the worker died{OUT_OF_MEMORY}")?,
            (Cause::Left, Some(exit)) => {
                write!(formatter, "the worker left in good order: {exit}")?;
            }
            (Cause::Left, None) => formatter.write_str("the worker left in good order")?,
            (Cause::Lingered, _) => write!(
                formatter,
                "the worker had finished, and was {} because it did not exit",
                self.measure()
            )?,
            (Cause::ConnectionClosed, Some(exit)) => {
                write!(
                    formatter,
                    "the worker closed its connection (does the function close descriptors?): {exit}"
                )?;
            }
            (Cause::ConnectionClosed, None) => {
                formatter.write_str("the worker closed its connection")?;
            }
            (Cause::ConnectionFailed(error), _) => {
                write!(formatter, "the connection to the worker failed: {error}")?;
            }
            (Cause::Protocol(violation), _) => {
                write!(formatter, "the worker broke the protocol: {violation}")?;
            }
            (Cause::Overdue(what), _) => {
                write!(
                    formatter,
                    "the worker was {}, because {what}",
                    self.measure()
                )?;
            }
            (Cause::Abandoned(what), _) => write!(
                formatter,
                "the worker was {}, because {what}, and nothing else ends a call that shares its worker",
                self.measure()
            )?,
            (Cause::Unhealthy(reason), _) => write!(
                formatter,
                "the worker was {} as unhealthy: {reason}",
                self.measure()
            )?,
            (Cause::Shutdown, _) => {
                formatter.write_str("the pool was shut down before the call had ended")?;
            }
        }
        write!(formatter, ", after {:.1} s", self.uptime.as_secs_f64())
    }
}

/// What usually lies behind such an end, in words that follow it.
fn likely_cause(exit: Exit) -> &'static str {
    let Exit::Signal(number) = exit else {
        return "";
    };
    match Signal::from_named_raw(number) {
        Some(Signal::SEGV | Signal::BUS | Signal::ILL | Signal::FPE) => {
            ", a crash in native code such as a C extension"
        }
        Some(Signal::ABORT) => ", native code such as a C extension gave up",
        Some(Signal::XCPU) => ", its processor time was used up",
        Some(Signal::XFSZ) => ", it wrote a larger file than it may",
        Some(Signal::SYS) => ", it made a system call that is forbidden to it",
        _ => "",
    }
}

/// What a worker has left behind, as the source of an error: where its threads were, and the end of its standard error.
#[derive(Debug)]
pub(crate) struct LastWords {
    stacks: String,
    stderr: String,
}

impl LastWords {
    /// `None` where it has left nothing.
    pub(crate) fn new(stacks: &str, stderr: &str) -> Option<Self> {
        let [stacks, stderr] = [stacks, stderr].map(|text| text.trim_end().to_owned());
        if stacks.is_empty() && stderr.is_empty() {
            None
        } else {
            Some(Self { stacks, stderr })
        }
    }
}

impl LastWords {
    pub(crate) fn stacks(&self) -> Option<&str> {
        Some(self.stacks.as_str()).filter(|stacks| !stacks.is_empty())
    }
}

impl fmt::Display for LastWords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stacks, stderr } = self;
        if !stacks.is_empty() {
            write!(formatter, "the stacks of the worker's threads:\n{stacks}")?;
        }
        if !stacks.is_empty() && !stderr.is_empty() {
            formatter.write_str("\n")?;
        }
        if !stderr.is_empty() {
            write!(
                formatter,
                "the worker's last lines on standard error:\n{stderr}"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for LastWords {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_what_usually_lies_behind_it() {
        let worker = WorkerIdentity::new("iris".into(), 0, 1, Some(7));
        let told = |cause, exit| {
            let death = DeathReport {
                worker: worker.clone(),
                cause,
                exit,
                uptime: Duration::from_millis(1250),
                calls_served: 3,
                has_answered: true,
                stacks: String::new(),
                stderr: String::new(),
            };
            death.to_string()
        };
        let cases = [
            (Exit::Code(3), "exit code 3"),
            (Exit::Signal(9), "killed by SIGKILL (9)"),
            (
                Exit::Signal(11),
                "killed by SIGSEGV (11), a crash in native code such as a C extension",
            ),
            (
                Exit::Signal(6),
                "killed by SIGABRT (6), native code such as a C extension gave up",
            ),
            (Exit::Signal(64), "killed by signal 64"),
            (Exit::Unknown, "exit status unknown"),
        ];
        for (exit, text) in cases {
            let expected = format!("the worker died: {text}, after 1.2 s");
            assert_eq!(told(Cause::Exited, Some(exit)), expected);
        }
        assert_eq!(
            told(Cause::OutOfMemory, Some(Exit::Signal(9))),
            "the worker died: killed by SIGKILL (9), probably out of memory, after 1.2 s"
        );
    }

    #[test]
    fn last_words_are_what_there_is() {
        let said = |stacks, stderr| LastWords::new(stacks, stderr).map(|words| words.to_string());
        assert_eq!(said("", "\n"), None);
        assert_eq!(
            said("", "no space left\n").unwrap(),
            "the worker's last lines on standard error:\nno space left"
        );
        assert_eq!(
            said("File \"a.py\", line 3 in f\n", "").unwrap(),
            "the stacks of the worker's threads:\nFile \"a.py\", line 3 in f"
        );
        assert_eq!(
            said("in f", "oh"),
            Some(
                "the stacks of the worker's threads:\nin f\n\
                 the worker's last lines on standard error:\noh"
                    .to_owned()
            )
        );
    }
}
