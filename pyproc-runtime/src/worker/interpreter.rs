//! Finding the Python interpreter that runs the workers.

mod candidates;
mod probe;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use candidates::{Trust, candidates};
use probe::{Unfit, probe};

/// A Python interpreter that was asked and found fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// What the interpreter says of itself (`sys.executable`): absolute, past all shims, but still
    /// the link in a virtual environment, by which Python knows the environment.
    pub path: PathBuf,
    pub version: (u8, u8, u8),
}

/// The oldest Python that runs the worker package.
const OLDEST: (u8, u8, u8) = (3, 10, 0);

/// A place where an interpreter was looked for, and why it did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Who named the place: `builder`, a variable, `.venv` or `PATH`.
    pub origin: &'static str,
    pub path: PathBuf,
    pub reason: String,
}

impl fmt::Display for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            path,
            reason,
        } = self;
        write!(formatter, "{} (from {origin}) {reason}", path.display())
    }
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterpreterError {
    /// The one that was asked for does not do. Another is not taken in its place.
    #[error("the Python interpreter {0}")]
    Refused(Candidate),
    #[error("no Python 3.10 or newer was found; tried {}", list(tried))]
    NotFound { tried: Vec<Candidate> },
}

fn list(tried: &[Candidate]) -> String {
    if tried.is_empty() {
        return "nothing, as there is no PATH".to_owned();
    }
    let lines: Vec<String> = tried.iter().map(Candidate::to_string).collect();
    lines.join("; ")
}

/// Finds the interpreter: the explicit one, `PYPROC_PYTHON`, the active virtual or conda
/// environment, a `.venv` in the directory `near` or above it, and then `python3` and `python`
/// along the `PATH`.
///
/// An interpreter is asked for its version, which takes some ten milliseconds and never longer
/// than `timeout`, and is not asked again by this process while its file stays the same. Blocks
/// the thread meanwhile.
pub(crate) fn find(
    explicit: Option<&Path>,
    near: Option<&Path>,
    timeout: Duration,
) -> Result<Interpreter, InterpreterError> {
    let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut tried = Vec::new();
    for (origin, path, trust) in candidates(explicit, near, environment) {
        let reason = match ask(&path, timeout) {
            Ok(interpreter) => return Ok(interpreter),
            Err(unfit) => unfit.to_string(),
        };
        let candidate = Candidate {
            origin,
            path,
            reason,
        };
        match trust {
            Trust::Required => return Err(InterpreterError::Refused(candidate)),
            Trust::Expected => tracing::warn!(target: "pyproc", "passed over {candidate}"),
            Trust::Possible => tracing::debug!(target: "pyproc", "passed over {candidate}"),
        }
        tried.push(candidate);
    }
    Err(InterpreterError::NotFound { tried })
}

/// Probes an interpreter, or remembers what it said.
fn ask(path: &Path, timeout: Duration) -> Result<Interpreter, Unfit> {
    static KNOWN: Mutex<Option<HashMap<PathBuf, (SystemTime, Interpreter)>>> = Mutex::new(None);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);

    let changed = path.metadata().and_then(|metadata| metadata.modified());
    let changed = changed.map_err(Unfit::NotThere)?;
    if let Some((then, interpreter)) = known().get_or_insert_default().get(path) {
        if *then == changed {
            return Ok(interpreter.clone());
        }
    }
    let interpreter = probe(path, timeout)?;
    if interpreter.version < OLDEST {
        return Err(Unfit::TooOld(interpreter.version));
    }
    known()
        .get_or_insert_default()
        .insert(path.to_owned(), (changed, interpreter.clone()));
    Ok(interpreter)
}

#[cfg(test)]
mod tests;
