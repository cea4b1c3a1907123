//! The environment variables of a worker.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::process::Command;

/// What a worker finds in its environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub inherited: Inherited,
    /// Variables that are set whatever is inherited.
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

impl Environment {
    pub(super) fn apply(&self, command: &mut Command) {
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
        command.envs(&self.set);
    }
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
