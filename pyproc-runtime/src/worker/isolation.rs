//! Who the process of a worker is, where it runs and how much it may take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Resource;

/// How a worker's process differs from its host's. User and group are set as it is started; the rest it sets itself,
/// before any code of the user's, because work between fork and exec would cost a large host a copy of its page tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Isolation {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Absolute.
    pub working_directory: Option<PathBuf>,
    pub umask: Option<u32>,
    pub oom_score_adj: Option<i16>,
    /// The soft and the hard limit; `None` is none.
    pub limits: BTreeMap<Resource, (Option<u64>, Option<u64>)>,
}

/// A hard limit in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hard {
    /// As inherited.
    Kept,
    Of(Option<u64>),
}

impl Isolation {
    /// The limits, that of core files among them: a core file of a worker with a model in it fills a disk, and the fault
    /// report of the interpreter says more.
    pub(super) fn limits(&self) -> Vec<(Resource, Option<u64>, Hard)> {
        let mut limits: Vec<_> = (self.limits.iter())
            .map(|(resource, (soft, hard))| (*resource, *soft, Hard::Of(*hard)))
            .collect();
        if !self.limits.contains_key(&Resource::CoreFile) {
            limits.push((Resource::CoreFile, Some(0), Hard::Kept));
        }
        limits
    }

    /// What cannot be asked for, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(umask) = self.umask.filter(|umask| *umask > 0o777) {
            return Err(format!("umask is {umask:#o}, but must be at most 0o777"));
        }
        if let Some(score) = self
            .oom_score_adj
            .filter(|score| !(-1000..=1000).contains(score))
        {
            return Err(format!(
                "oom_score_adj is {score}, but must be from -1000 to 1000"
            ));
        }
        if self.uid.is_some() != self.gid.is_some() {
            return Err(
                "`uid` and `gid` go together: one without the other would leave the worker half of the host's rights"
                    .to_owned(),
            );
        }
        let unlimited = u64::MAX;
        let reversed = self
            .limits
            .iter()
            .find(|(_, (soft, hard))| soft.unwrap_or(unlimited) > hard.unwrap_or(unlimited));
        match reversed {
            Some((resource, _)) => Err(format!(
                "the soft limit of {resource:?} is above its hard limit"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_files_are_off_unless_asked_for() {
        let mut isolation = Isolation::default();
        assert_eq!(
            isolation.limits(),
            [(Resource::CoreFile, Some(0), Hard::Kept)]
        );
        isolation
            .limits
            .insert(Resource::CoreFile, (Some(1), Some(2)));
        let asked = [(Resource::CoreFile, Some(1), Hard::Of(Some(2)))];
        assert_eq!(isolation.limits(), asked);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let limits = |soft, hard| BTreeMap::from([(Resource::OpenFiles, (soft, hard))]);
        let cases = [
            (
                Isolation {
                    umask: Some(0o1000),
                    ..Isolation::default()
                },
                "umask is 0o1000",
            ),
            (
                Isolation {
                    oom_score_adj: Some(1001),
                    ..Isolation::default()
                },
                "oom_score_adj is 1001",
            ),
            (
                Isolation {
                    uid: Some(1000),
                    ..Isolation::default()
                },
                "go together",
            ),
            (
                Isolation {
                    limits: limits(Some(3), Some(2)),
                    ..Isolation::default()
                },
                "soft limit of OpenFiles",
            ),
            (
                Isolation {
                    limits: limits(None, Some(2)),
                    ..Isolation::default()
                },
                "soft limit of OpenFiles",
            ),
        ];
        for (isolation, culprit) in cases {
            let said = isolation.check().unwrap_err();
            assert!(said.contains(culprit), "{said}");
        }
        let sound = Isolation {
            uid: Some(1),
            gid: Some(1),
            umask: Some(0o777),
            limits: limits(Some(2), None),
            ..Isolation::default()
        };
        assert_eq!(sound.check(), Ok(()));
    }
}
