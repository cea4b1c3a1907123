//! Which loop a worker runs.

/// Which loop runs in the workers.
///
/// The pure one is Python that the host brings along. The native one is an extension module, from the distribution
/// `pyproc-native`, that the workers' interpreter must have; it does the same in a fraction of the time.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Core {
    /// The native one where the interpreter has it in a fitting version, else the pure one. Which it is stands in
    /// [`WorkerStatus::runs`](crate::WorkerStatus::runs).
    #[default]
    Auto,
    /// The native one; a start without it fails.
    Native,
    /// The pure one, whatever is installed.
    Pure,
}

impl Core {
    /// The name by which the worker package knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Pure => "pure",
        }
    }

    /// The choice that has this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Native, Self::Pure]
            .into_iter()
            .find(|core| core.name() == name)
    }
}
