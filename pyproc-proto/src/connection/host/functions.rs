//! The worker's functions, by name.

use crate::{FunctionIndex, FunctionInfo, ProtocolError};

/// Where each function stands in the worker's table. Sorted by name: a search compares a handful of
/// short names, which is quicker than one keyed hash.
#[derive(Debug, Default)]
pub(super) struct FunctionTable {
    places: Vec<(Box<str>, FunctionIndex)>,
}

impl FunctionTable {
    /// # Errors
    ///
    /// More functions than a request could name, or two of one name.
    pub(super) fn new(functions: &[FunctionInfo]) -> Result<Self, ProtocolError> {
        let count = functions.len();
        let mut places: Vec<(Box<str>, _)> = Vec::with_capacity(count);
        for (place, function) in functions.iter().enumerate() {
            let index =
                u16::try_from(place).map_err(|_| ProtocolError::TooManyFunctions { count })?;
            places.push((Box::from(function.name.as_str()), FunctionIndex(index)));
        }
        places.sort_by(|(one, _), (other, _)| one.cmp(other));
        match places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(ProtocolError::DuplicateFunction {
                name: pair[0].0.to_string(),
            }),
            None => Ok(Self { places }),
        }
    }

    pub(super) fn name(&self, index: FunctionIndex) -> Option<&str> {
        let mut places = self.places.iter();
        let (name, _) = places.find(|(_, place)| *place == index)?;
        Some(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<FunctionIndex> {
        let found = self
            .places
            .binary_search_by(|(known, _)| known.as_ref().cmp(name));
        found.ok().map(|place| self.places[place].1)
    }
}
