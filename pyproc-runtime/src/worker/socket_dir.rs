//! A private directory for the sockets on which scripts listen by themselves.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::UnixStream;

/// A directory that only this user can enter; removed, with all that is in it, when dropped.
#[derive(Debug)]
pub(crate) struct SocketDir {
    path: PathBuf,
}

/// Why there is no place for a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketDirError {
    /// Others could replace what is created there.
    #[error("{} is no safe place for sockets: {reason}", path.display())]
    Unsafe { path: PathBuf, reason: &'static str },
    #[error(
        "the socket path {} has {length} bytes, the system allows {MAX_PATH_BYTES}; \
         set XDG_RUNTIME_DIR or TMPDIR to a shorter one",
        path.display()
    )]
    TooLong { path: PathBuf, length: usize },
    #[error("the socket directory {} cannot be created", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl SocketDir {
    /// Creates a directory below `XDG_RUNTIME_DIR`, or else below the directory for temporary
    /// files.
    pub(crate) fn create() -> Result<Self, SocketDirError> {
        if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
            // It may be left over from another user (sudo) or not be there at all (containers).
            if runtime.is_absolute() {
                if let Ok(directory) = Self::create_in(&runtime) {
                    return Ok(directory);
                }
            }
        }
        Self::create_in(&std::env::temp_dir())
    }

    /// Creates a directory below `parent`.
    pub(crate) fn create_in(parent: &Path) -> Result<Self, SocketDirError> {
        let failed = |path: &Path, source| SocketDirError::Io {
            path: path.to_owned(),
            source,
        };
        // Links are resolved once and for all, so that what is checked is what is used.
        let parent = fs::canonicalize(parent).map_err(|error| failed(parent, error))?;
        let metadata = fs::metadata(&parent).map_err(|error| failed(&parent, error))?;
        check_parent(&parent, &metadata)?;

        // The name cannot be guessed, and creation fails on anything that is already there, so
        // neither a planted directory nor a planted link is ever used.
        // The process id tells people whose it is.
        let pid = std::process::id();
        let name = format!("pyproc-{pid}-{:016x}", RandomState::new().hash_one(pid));
        let path = parent.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| failed(&path, error))?;
        let directory = Self { path };
        // An unusual umask may have taken permissions away from the owner too.
        fs::set_permissions(&directory.path, Permissions::from_mode(0o700))
            .map_err(|error| failed(&directory.path, error))?;
        // Better now than at the start of the last worker.
        directory.socket(usize::from(u16::MAX))?;
        Ok(directory)
    }

    /// The path of a slot's socket.
    pub(crate) fn socket(&self, slot: usize) -> Result<PathBuf, SocketDirError> {
        let path = self.path.join(slot.to_string());
        match path.as_os_str().as_bytes().len() {
            length if length > MAX_PATH_BYTES => Err(SocketDirError::TooLong { path, length }),
            _ => Ok(path),
        }
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        // What is left behind is empty sockets in a directory that nobody else can enter.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The user on the other side of a socket that has a path. (Of a socketpair it would be the one
/// who created it, which proves nothing.)
pub(crate) fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    stream.peer_cred().map(|credentials| credentials.uid())
}

/// What fits into `sun_path` beside its final NUL.
const MAX_PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

fn check_parent(path: &Path, metadata: &Metadata) -> Result<(), SocketDirError> {
    const STICKY: u32 = 0o1000;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let me = geteuid().as_raw();
    let reason = if !metadata.is_dir() {
        "it is not a directory"
    } else if metadata.uid() != me && metadata.uid() != 0 {
        "it belongs to another user"
    } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 && metadata.mode() & STICKY == 0 {
        "others may write to it, and it is not sticky"
    } else {
        return Ok(());
    };
    Err(SocketDirError::Unsafe {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_directory_is_private_and_goes_away() {
        let parent = tempfile::tempdir().unwrap();
        let directory = SocketDir::create_in(parent.path()).unwrap();
        let mode = fs::metadata(&directory.path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        let listener = UnixListener::bind(directory.socket(0).unwrap()).unwrap();

        drop(listener);
        drop(directory);
        assert_eq!(parent.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused_with_its_length() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(MAX_PATH_BYTES));
        fs::create_dir(&long).unwrap();
        let error = SocketDir::create_in(&long).unwrap_err();
        assert!(matches!(error, SocketDirError::TooLong { .. }), "{error}");
        assert!(
            error.to_string().contains("bytes, the system allows"),
            "{error}"
        );
        assert_eq!(long.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_parent_that_others_control_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let refused = |reason: &str| {
            let error = SocketDir::create_in(parent.path()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        };
        fs::set_permissions(parent.path(), Permissions::from_mode(0o777)).unwrap();
        refused("not sticky");
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        // Only root may give a directory away, so elsewhere this half has nothing to show.
        if chown(parent.path(), Some(12_345), None).is_ok() {
            refused("belongs to another user");
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_parent_is_refused() {
        let parent = tempfile::NamedTempFile::new().unwrap();
        let error = SocketDir::create_in(parent.path()).unwrap_err();
        assert!(error.to_string().contains("not a directory"), "{error}");
    }

    #[tokio::test]
    async fn the_peer_of_a_path_is_this_user() {
        let parent = tempfile::tempdir().unwrap();
        let directory = SocketDir::create_in(parent.path()).unwrap();
        let path = directory.socket(3).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        let stream = UnixStream::connect(&path).await.unwrap();
        assert_eq!(peer_uid(&stream).unwrap(), geteuid().as_raw());
    }

    #[test]
    fn a_link_to_elsewhere_is_followed_only_to_a_safe_place() {
        let parent = tempfile::tempdir().unwrap();
        let unsafe_place = parent.path().join("open");
        fs::create_dir(&unsafe_place).unwrap();
        fs::set_permissions(&unsafe_place, Permissions::from_mode(0o777)).unwrap();
        let link = parent.path().join("link");
        symlink(&unsafe_place, &link).unwrap();
        let error = SocketDir::create_in(&link).unwrap_err();
        assert!(matches!(error, SocketDirError::Unsafe { .. }), "{error}");
    }
}
