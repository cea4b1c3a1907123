use std::error::Error as StdError;
use std::fmt;

/// What lies beneath an error whose own words have been said already: it reads as that error's source.
#[derive(Debug)]
pub(super) struct Beneath<E>(pub(super) E);

impl<E: StdError> fmt::Display for Beneath<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, formatter),
            None => fmt::Display::fmt(&self.0, formatter),
        }
    }
}

impl<E: StdError> StdError for Beneath<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()?.source()
    }
}
