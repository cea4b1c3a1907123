//! Looking for an answer without sleeping.

/// Whether the two sides of a connection look for each other's next frame without blocking, for a bounded time, before
/// they sleep.
///
/// Waking a sleeping processor takes 40 to 90 µs on common machines, which is more than everything else in a short call
/// together. Looking costs processor time instead, at most [`Auto`](Self::Auto)'s bound per call on each side.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spin {
    /// Each side looks for up to 100 µs where that lately paid: where answers came within that time, and nobody else
    /// wanted the processor. An idle pool, slow functions and busy machines are found out, and cost nothing more than
    /// a try now and then.
    #[default]
    Auto,
    /// Each side sleeps at once.
    Off,
}

impl Spin {
    /// The longest look, in microseconds.
    pub(crate) fn longest_us(self) -> u32 {
        match self {
            Self::Auto => 100,
            Self::Off => 0,
        }
    }
}
