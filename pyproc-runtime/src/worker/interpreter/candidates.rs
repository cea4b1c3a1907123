//! Where an interpreter may be, in the order of precedence.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What it means when a candidate does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Somebody asked for this one: an error.
    Required,
    /// Somebody will be surprised that another is taken: a warning.
    Expected,
    /// It was only a guess.
    Possible,
}

/// All candidates: who named it, where it is, and what it means when it does not do.
pub(super) fn candidates(
    explicit: Option<&Path>,
    near: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, PathBuf, Trust)> {
    let search = environment("PATH").unwrap_or_default();
    let mut found = Vec::new();

    if let Some(path) = explicit {
        found.push(("builder", located(path, &search), Trust::Required));
    }
    if let Some(path) = environment("PYPROC_PYTHON") {
        let path = located(Path::new(&path), &search);
        found.push(("PYPROC_PYTHON", path, Trust::Required));
    }
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        if let Some(prefix) = environment(variable) {
            found.push((variable, in_prefix(Path::new(&prefix)), Trust::Expected));
        }
    }
    let near = near.and_then(|directory| std::path::absolute(directory).ok());
    for directory in near.iter().flat_map(|directory| directory.ancestors()) {
        let prefix = directory.join(".venv");
        if prefix.is_dir() {
            found.push((".venv", in_prefix(&prefix), Trust::Expected));
        }
    }
    for name in ["python3", "python"] {
        for path in along_path(name, &search) {
            found.push(("PATH", path, Trust::Possible));
        }
    }
    found
}

fn in_prefix(prefix: &Path) -> PathBuf {
    let path = prefix.join("bin").join("python");
    std::path::absolute(&path).unwrap_or(path)
}

/// A bare name (`python3.12`) is looked for along the `PATH`; anything else is a path.
fn located(path: &Path, search: &OsString) -> PathBuf {
    let is_bare_name = path.components().count() == 1 && path.file_name() == Some(path.as_os_str());
    if is_bare_name {
        if let Some(found) = along_path(path, search).next() {
            return found;
        }
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The executable files of this name along the `PATH`.
fn along_path(name: impl AsRef<Path>, search: &OsString) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(search)
        .filter(|directory| directory.is_absolute())
        .map(move |directory| directory.join(name.as_ref()))
        .filter(|path| {
            let executable = |mode: u32| mode & 0o111 != 0;
            path.metadata().is_ok_and(|metadata| {
                metadata.is_file() && executable(metadata.permissions().mode())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_precedence() {
        let root = tempfile::tempdir().unwrap();
        let at = |relative: &str| root.path().join(relative);
        std::fs::create_dir_all(at("project/.venv/bin")).unwrap();
        std::fs::create_dir_all(at("project/scripts")).unwrap();
        for name in ["python3", "python"] {
            std::fs::create_dir_all(at("bin")).unwrap();
            std::fs::write(at("bin").join(name), "").unwrap();
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(at("bin").join(name), executable).unwrap();
        }
        let environment = |name: &str| match name {
            "PATH" => Some(at("bin").into_os_string()),
            "PYPROC_PYTHON" => Some("python3".into()),
            "VIRTUAL_ENV" => Some("/venv".into()),
            "CONDA_PREFIX" => Some("/conda".into()),
            _ => None,
        };
        let explicit = Path::new("/opt/python");
        let near = at("project/scripts");

        let found = candidates(Some(explicit), Some(&near), environment);
        let expected = [
            ("builder", explicit.to_owned(), Trust::Required),
            ("PYPROC_PYTHON", at("bin/python3"), Trust::Required),
            ("VIRTUAL_ENV", "/venv/bin/python".into(), Trust::Expected),
            ("CONDA_PREFIX", "/conda/bin/python".into(), Trust::Expected),
            (".venv", at("project/.venv/bin/python"), Trust::Expected),
            ("PATH", at("bin/python3"), Trust::Possible),
            ("PATH", at("bin/python"), Trust::Possible),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bare_name_that_is_nowhere_is_shown_as_a_path() {
        let found = candidates(Some(Path::new("no-such-python")), None, |_| None);
        let expected = std::env::current_dir().unwrap().join("no-such-python");
        assert_eq!(found, [("builder", expected, Trust::Required)]);
    }
}
