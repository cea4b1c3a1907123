//! The settings of the workers' processes.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use pyproc_proto::Codec;

use super::check::impossible;
use super::{Origin, PoolBuilder, Settings};
use crate::error::Result;
use crate::worker::{Isolation, Resource, share_processors};

/// What the workers' processes are allowed.
///
/// All of it is in force before any code of the script runs. A worker that cannot be given what is asked for here does
/// not start, and says what was refused. Attached workers are somebody else's processes: for them, each of these is an
/// impossible configuration.
impl<C: Codec> PoolBuilder<C> {
    /// The workers' working directory. Default: the host's at the time of each start.
    pub fn working_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.isolation.working_directory = Some(path.into());
        self
    }

    /// The workers' umask: the permission bits that files which they create do not get. Default: the host's.
    ///
    /// `0o077` keeps what workers write from all other users.
    pub fn umask(mut self, mask: u32) -> Self {
        self.settings.isolation.umask = Some(mask);
        self
    }

    /// A soft and a hard limit of each worker; `None` is none. Default: the host's, except that workers write no
    /// [core files](Resource::CoreFile).
    ///
    /// A hard limit above the host's own needs the privilege `CAP_SYS_RESOURCE`.
    ///
    /// ```
    /// # use pyproc_runtime as pyproc;
    /// use pyproc::{Pool, Resource};
    ///
    /// let pool = Pool::builder("iris.py")
    ///     .rlimit(Resource::OpenFiles, 256, 256)
    ///     .rlimit(Resource::CpuTime, 3600, None);
    /// ```
    pub fn rlimit(
        mut self,
        resource: Resource,
        soft: impl Into<Option<u64>>,
        hard: impl Into<Option<u64>>,
    ) -> Self {
        let limits = (soft.into(), hard.into());
        self.settings.isolation.limits.insert(resource, limits);
        self
    }

    /// How willingly the kernel kills the workers when memory runs out, from -1000 (never) to 1000 (first). Default: the
    /// host's own value.
    ///
    /// With 500 or so, a worker dies, and is replaced, rather than the host with all calls. A value below the host's
    /// needs the privilege `CAP_SYS_RESOURCE`. Only Linux has it.
    pub fn oom_score_adj(mut self, score: i16) -> Self {
        self.settings.isolation.oom_score_adj = Some(score);
        self
    }

    /// The user that the workers run as; needs [`gid`](Self::gid) as well, and a host with the right to change it, as
    /// root has. Default: the host's.
    ///
    /// That user must be able to run the interpreter and to read the script. Supplementary groups are dropped.
    pub fn uid(mut self, uid: u32) -> Self {
        self.settings.isolation.uid = Some(uid);
        self
    }

    /// The group that the workers run as; needs [`uid`](Self::uid) as well. Default: the host's.
    pub fn gid(mut self, gid: u32) -> Self {
        self.settings.isolation.gid = Some(gid);
        self
    }
}

impl Settings {
    /// Checks them, and decides what nobody has decided.
    pub(super) fn settle_processes(&mut self, origin: &Origin, workers: usize) -> Result<()> {
        let isolation = &mut self.isolation;
        isolation.check().map_err(impossible)?;
        if self.listens && isolation.uid.is_some() {
            return Err(impossible(
                "a worker of another user cannot listen in the host's private directory: `listen` and `uid` do not go \
                 together",
            ));
        }
        if matches!(origin, Origin::Paths(_)) {
            return if *isolation == Isolation::default() {
                Ok(())
            } else {
                Err(impossible(
                    "attached workers are somebody else's processes, whose limits, user and directory cannot be set here",
                ))
            };
        }
        if let Some(path) = &mut isolation.working_directory {
            *path = std::path::absolute(&*path).map_err(|error| {
                impossible("the working directory is no path").with_source(error)
            })?;
        }
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if let Some(threads) = share_processors(&mut self.environment, processors, workers) {
            tracing::info!(
                target: "pyproc::pool",
                processors,
                workers,
                threads,
                "numerical libraries are told to use so many threads per worker (OMP_NUM_THREADS); set it to change that"
            );
        }
        Ok(())
    }
}
