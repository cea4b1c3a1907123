//! The environment variables of a worker.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

/// What a worker finds in its environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub inherited: Inherited,
    /// Variables that are set whatever is inherited. `{slot}` in a value stands for the worker's slot.
    pub set: BTreeMap<OsString, OsString>,
}

/// What a worker takes over from the host's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Inherited {
    /// Everything: model caches, CUDA and proxies are configured by variables.
    #[default]
    All,
    Nothing,
    /// These names, as far as the host has them.
    Only(Vec<OsString>),
}

const SLOT: &[u8] = b"{slot}";

impl Environment {
    /// Whether workers will find a variable of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_inherited = match &self.inherited {
            Inherited::All => true,
            Inherited::Nothing => false,
            Inherited::Only(names) => names.iter().any(|allowed| allowed == name),
        };
        self.set.contains_key(OsStr::new(name)) || is_inherited && std::env::var_os(name).is_some()
    }

    pub(super) fn apply(&self, command: &mut Command, slot: usize) {
        match &self.inherited {
            Inherited::All => {}
            Inherited::Nothing => {
                command.env_clear();
            }
            Inherited::Only(names) => {
                let allowed = names
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?)));
                command.env_clear().envs(allowed);
            }
        }
        for (name, value) in &self.set {
            command.env(name, of_slot(value, slot));
        }
    }
}

/// The value with the number in all places that ask for it.
fn of_slot(value: &OsStr, slot: usize) -> OsString {
    let mut rest = value.as_bytes();
    let mut found = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(SLOT.len()).position(|window| window == SLOT) {
        found.extend_from_slice(&rest[..at]);
        found.extend_from_slice(slot.to_string().as_bytes());
        rest = &rest[at + SLOT.len()..];
    }
    found.extend_from_slice(rest);
    OsString::from_vec(found)
}

/// Only names: the values may be secrets, and this ends up in logs.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("inherited", &self.inherited)
            .field("set", &self.set.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_stands_in_every_place_that_asks_for_it() {
        for (value, expected) in [
            ("{slot}", "12"),
            ("gpu{slot}:{slot}", "gpu12:12"),
            ("{slot", "{slot"),
            ("", ""),
        ] {
            assert_eq!(of_slot(value.as_ref(), 12), expected);
        }
        let bytes = OsStr::from_bytes(b"\xff{slot}");
        assert_eq!(of_slot(bytes, 3).as_bytes(), b"\xff3");
    }
}
