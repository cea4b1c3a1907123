use pyproc::{Error, ErrorKind, Fate};
use serde::Deserialize;

use crate::findings::Finding;
use crate::ledger::End;
use crate::plan::{Function, Plan, badge, turned};

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
    /// `proven` is what is known of the end of a stream by its items; a stream that was read to its end has no reply.
    pub(super) fn of(
        plan: &Plan,
        id: u64,
        proven: Option<End>,
        result: &Result<Option<Reply>, Error>,
    ) -> Self {
        match result {
            Ok(Some(reply)) => Self {
                end: End::Ran,
                word: "returned",
                finding: (!fits(plan, id, reply)).then_some(Finding::Swapped),
            },
            Ok(None) => Self {
                end: End::Ran,
                word: "read",
                finding: (!plan.function.is_stream() || plan.function == Function::CountAndFail)
                    .then_some(Finding::Unexpected),
            },
            Err(error) => Self {
                end: proven.unwrap_or_else(|| end_of(error)),
                word: word_of(error.kind()),
                finding: match (proven, error.fate()) {
                    (Some(_), Fate::NotStarted) => Some(Finding::Unexpected),
                    _ => of_error(plan, id, error),
                },
            },
        }
    }
}

fn fits(plan: &Plan, id: u64, reply: &Reply) -> bool {
    plan.function.replies()
        && reply.id == id
        && reply.mark == turned(id)
        && reply.pad == plan.pad(id)
}

fn of_error(plan: &Plan, id: u64, error: &Error) -> Option<Finding> {
    if !plan.function.may_end_with(error.kind()) {
        return Some(Finding::Unexpected);
    }
    let is_own = match error.kind() {
        ErrorKind::Exception => {
            let message = error.python().map(pyproc::PythonError::message);
            message == Some(&format!("{id} {}", turned(id)))
        }
        // Here the workers' own words have the name.
        ErrorKind::InvalidArgument | ErrorKind::InvalidResult => {
            error.to_string().contains(&badge(id))
        }
        // What remains does not come from the function: the host says it, or the worker without a word of its own.
        _ => true,
    };
    (!is_own).then_some(Finding::Swapped)
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
