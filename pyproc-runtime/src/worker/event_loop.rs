//! What the async functions of a worker run on.

/// The event loop of the workers that have async functions.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventLoop {
    /// That of Python itself; or another one whose policy the script sets while it is imported.
    #[default]
    Asyncio,
    /// That of the package `uvloop`, which the workers' interpreter must have; a start without it fails. It is worth its
    /// installation where functions do much of their input and output themselves, in small pieces.
    Uvloop,
}

impl EventLoop {
    /// The name by which the worker package knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
        }
    }
}
