use pyproc::{Error, ErrorKind, Fate};
use serde::Deserialize;

use crate::findings::Finding;
use crate::ledger::End;
use crate::plan::{Plan, turned};

/// What a function returns that says to which call it belongs.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    id: u64,
    mark: u64,
    pad: String,
}

/// What the end of a call says.
pub(super) struct Judgement {
    pub(super) end: End,
    /// What it is counted as.
    pub(super) word: &'static str,
    pub(super) finding: Option<Finding>,
}

impl Judgement {
    pub(super) fn of(plan: &Plan, id: u64, result: &Result<Option<Reply>, Error>) -> Self {
        match result {
            Ok(reply) => Self {
                end: End::Ran,
                word: "returned",
                finding: (!fits(plan, id, reply.as_ref())).then_some(Finding::Swapped),
            },
            Err(error) => Self {
                end: end_of(error),
                word: word_of(error.kind()),
                finding: of_error(plan, id, error),
            },
        }
    }
}

fn fits(plan: &Plan, id: u64, reply: Option<&Reply>) -> bool {
    match reply {
        Some(reply) => {
            plan.function.replies()
                && reply.id == id
                && reply.mark == turned(id)
                && reply.pad == plan.pad(id)
        }
        None => plan.function.returns_nothing(),
    }
}

fn of_error(plan: &Plan, id: u64, error: &Error) -> Option<Finding> {
    if !plan.function.may_end_with(error.kind()) {
        return Some(Finding::Unexpected);
    }
    let expected = format!("{id} {}", turned(id));
    let is_anothers = error.kind() == ErrorKind::Exception
        && error.python().map(pyproc::PythonError::message) != Some(&expected);
    is_anothers.then_some(Finding::Swapped)
}

fn end_of(error: &Error) -> End {
    match (error.fate(), error.kind()) {
        (Fate::NotStarted, _) => End::NotStarted,
        (Fate::Failed, ErrorKind::Exception | ErrorKind::InvalidResult) => End::Ran,
        _ => End::MayHaveRun,
    }
}

/// The kind as the figures name it.
fn word_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Closed => "closed",
        ErrorKind::Deadline => "deadline",
        ErrorKind::WorkerDied => "worker_died",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Exception => "exception",
        ErrorKind::InvalidResult => "invalid_result",
        ErrorKind::InvalidArgument => "invalid_argument",
        ErrorKind::FunctionNotFound => "function_not_found",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Codec => "codec",
        _ => "other",
    }
}
