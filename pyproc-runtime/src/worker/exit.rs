//! How a process ended.

use std::fmt;

use rustix::process::Signal;

/// How a worker's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// It exited, with this code.
    Code(i32),
    /// A signal of this number killed it.
    Signal(i32),
    /// It ended, but another part of the program took its status: by waiting for any child, or by
    /// ignoring `SIGCHLD`.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(number) => match signal_name(number) {
                Some(name) => write!(formatter, "killed by {name} ({number})"),
                None => write!(formatter, "killed by signal {number}"),
            },
            Self::Unknown => formatter.write_str("exit status unknown"),
        }
    }
}

/// The names of the signals whose default action ends a process.
fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 17] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::SYS, "SIGSYS"),
    ];
    let named = NAMES.iter().find(|(signal, _)| signal.as_raw() == number)?;
    Some(named.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_well() {
        let cases = [
            (Exit::Code(3), "exit code 3"),
            (Exit::Signal(9), "killed by SIGKILL (9)"),
            (Exit::Signal(64), "killed by signal 64"),
            (Exit::Unknown, "exit status unknown"),
        ];
        for (exit, text) in cases {
            assert_eq!(exit.to_string(), text);
        }
    }
}
