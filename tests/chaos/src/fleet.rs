//! All pools of a run.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use pyproc::Core;

use crate::team::{Encoding, Roster, Team};

pub(crate) struct Fleet {
    pub(crate) teams: Vec<Arc<Team>>,
}

/// A slot of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) team: usize,
    pub(crate) slot: usize,
}

/// With two, one can be lost while the other serves, and both can be lost at once.
const WORKERS: usize = 2;

impl Fleet {
    /// Starts a pool for each codec and each loop, and two that have async functions too; with `spared`, as many again that are left in peace.
    pub(crate) async fn start(spared: bool, directory: &Path, mark: &str) -> Result<Self> {
        let starts = rosters(spared)
            .into_iter()
            .map(|roster| Team::start(roster, directory, mark));
        let teams = futures::future::try_join_all(starts).await?;
        Ok(Self {
            teams: teams.into_iter().map(Arc::new).collect(),
        })
    }

    /// The slots in which the adversary is at work.
    pub(crate) fn places(&self) -> Vec<Place> {
        let exposed = (self.teams.iter().enumerate()).filter(|(_, team)| !team.roster.spared);
        exposed
            .flat_map(|(team, roster)| {
                (0..roster.roster.workers).map(move |slot| Place { team, slot })
            })
            .collect()
    }

    pub(crate) fn team(&self, place: Place) -> &Team {
        &self.teams[place.team]
    }

    /// Shuts all pools down at once.
    pub(crate) async fn shutdown(&self) -> Result<()> {
        let shutdowns = self.teams.iter().map(|team| team.shutdown());
        futures::future::try_join_all(shutdowns).await?;
        Ok(())
    }
}

fn rosters(spared: bool) -> Vec<Roster> {
    let kinds = [
        ("json-pure", Encoding::Json, Core::Pure, false, 1),
        ("json-native", Encoding::Json, Core::Native, false, 1),
        ("msgpack-pure", Encoding::MsgPack, Core::Pure, false, 1),
        ("msgpack-native", Encoding::MsgPack, Core::Native, false, 1),
        ("json-async", Encoding::Json, Core::Pure, true, 1),
        ("msgpack-async", Encoding::MsgPack, Core::Native, true, 3),
    ];
    let exposed = kinds.map(|(name, encoding, core, has_async, threads)| Roster {
        name: name.to_owned(),
        encoding,
        core,
        workers: WORKERS,
        has_async,
        threads,
        spared: false,
    });
    let in_peace = kinds.map(|(name, encoding, core, has_async, threads)| Roster {
        name: format!("{name}-spared"),
        encoding,
        core,
        workers: 1,
        has_async,
        threads,
        spared: true,
    });
    let in_peace = in_peace.into_iter().filter(|_| spared);
    exposed.into_iter().chain(in_peace).collect()
}
