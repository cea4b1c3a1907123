//! Why a process could not be started.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::launch::Launch;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("the interpreter {} does not exist", path.display())]
    NotFound { path: PathBuf, source: io::Error },
    #[error("the interpreter {} cannot be executed{}", path.display(), by(*uid))]
    NotExecutable {
        path: PathBuf,
        uid: Option<u32>,
        source: io::Error,
    },
    /// The host may not start processes of another user.
    #[error("the worker cannot run as user {uid}: this program may not change its user")]
    NotThatUser { uid: u32, source: io::Error },
    /// The program or the system has no descriptor left.
    #[error("too many open files to start a process")]
    TooManyFiles { source: io::Error },
    /// The limit of processes, or the memory, is used up.
    #[error("too many processes, or too little memory, to start another")]
    TooManyProcesses { source: io::Error },
    #[error("a process could not be started")]
    Other { source: io::Error },
}

impl SpawnError {
    /// Sorts an error of starting `launch` by what can be done about it.
    pub(super) fn new(launch: &Launch, source: io::Error) -> Self {
        let path = || launch.interpreter.clone();
        let errno = Errno::from_io_error(&source);
        // An interpreter that may not be executed is refused with another error.
        if let (Some(Errno::PERM), Some(uid)) = (errno, launch.uid.filter(|uid| *uid != own_uid()))
        {
            return Self::NotThatUser { uid, source };
        }
        match errno {
            Some(Errno::MFILE | Errno::NFILE) => Self::TooManyFiles { source },
            Some(Errno::AGAIN | Errno::NOMEM) => Self::TooManyProcesses { source },
            Some(Errno::NOENT | Errno::NOTDIR) => Self::NotFound {
                path: path(),
                source,
            },
            Some(Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR) => {
                Self::NotExecutable {
                    path: path(),
                    uid: launch.uid,
                    source,
                }
            }
            _ => Self::Other { source },
        }
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn by(uid: Option<u32>) -> String {
    uid.map_or_else(String::new, |uid| format!(" by user {uid}"))
}
