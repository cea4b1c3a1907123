//! What the workers of a pool run: a script, a module, or a source text.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the workers of a pool run.
///
/// It is imported by the worker, not run as `__main__`, so a trailing
/// `if __name__ == "__main__":` block does not run.
///
/// A string that ends with `.py` or contains a `/` is a script; any other that consists of
/// identifiers joined by dots is a module: `"iris.py"` and `"./iris"` are scripts, `"iris"` and
/// `"models.iris"` are modules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The path of a script. A relative one is resolved against the host's working directory; see
    /// [`script!`](crate::script!) for a path relative to the crate. The script's directory comes
    /// first on the worker's `sys.path`.
    Script(PathBuf),
    /// The dotted name of a module that the worker's interpreter can import.
    Module(String),
    /// A source text that the host carries in itself, usually by `include_str!`.
    Source {
        /// The name that tracebacks show and that the module gets, such as `iris.py`.
        name: String,
        /// The text.
        source: String,
    },
}

/// A script whose path is relative to the crate that is being compiled, wherever the program is
/// started from: `pyproc::script!("iris.py")`.
///
/// The path is fixed when the crate is compiled. A program that leaves the machine on which it was
/// built takes its script along by [`Target::Source`] instead.
#[macro_export]
macro_rules! script {
    ($path:expr) => {
        $crate::Target::Script(
            ::std::path::Path::new(::core::env!("CARGO_MANIFEST_DIR")).join($path),
        )
    };
}

/// A target that was found: a script is a file that exists, and its path is absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResolvedTarget {
    Script(PathBuf),
    Module(String),
    Source { name: String, source: String },
}

/// Why a target cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("the script {} does not exist", path.display())]
    NotFound { path: PathBuf },
    #[error("the script {} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("the script {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Python could not import a module of this name, whatever is installed.
    #[error("{name:?} is not the name of a Python module")]
    NotAModule { name: String },
}

impl Target {
    /// Finds the target.
    ///
    /// A module is only checked for its form: whether it can be imported, only the worker knows.
    pub(crate) fn resolve(&self) -> Result<ResolvedTarget, TargetError> {
        match self {
            Self::Script(path) => find_script(path).map(ResolvedTarget::Script),
            Self::Module(name) if is_module_name(name) => Ok(ResolvedTarget::Module(name.clone())),
            Self::Module(name) => Err(TargetError::NotAModule { name: name.clone() }),
            Self::Source { name, source } => Ok(ResolvedTarget::Source {
                name: name.clone(),
                source: source.clone(),
            }),
        }
    }
}

impl ResolvedTarget {
    /// The directory of the script, near which an interpreter is looked for.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Script(path) => path.parent(),
            Self::Module(_) | Self::Source { .. } => None,
        }
    }
}

fn find_script(path: &Path) -> Result<PathBuf, TargetError> {
    let path = std::path::absolute(path).map_err(|source| TargetError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(TargetError::NotAFile { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(TargetError::NotFound { path })
        }
        Err(source) => Err(TargetError::Unreadable { path, source }),
    }
}

/// Whether all parts between the dots are identifiers. Python decides by the XID classes of
/// Unicode; the letters and digits of Unicode are near enough for telling a module from a path.
fn is_module_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut characters = part.chars();
        let starts_well = |first: char| first == '_' || first.is_alphabetic();
        characters.next().is_some_and(starts_well)
            && characters.all(|character| character == '_' || character.is_alphanumeric())
    })
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(path) => path.display().fmt(formatter),
            Self::Module(name) | Self::Source { name, .. } => name.fmt(formatter),
        }
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        if !text.ends_with(".py") && is_module_name(text) {
            Self::Module(text.to_owned())
        } else {
            Self::Script(text.into())
        }
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Target {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self::Script(path.to_owned())
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Script(path)
    }
}

impl From<&PathBuf> for Target {
    fn from(path: &PathBuf) -> Self {
        Self::Script(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_a_script_or_a_module() {
        for script in [
            "iris.py",
            "models/iris",
            "./iris",
            "/srv/iris.py",
            "my-app",
            "1st",
            "",
        ] {
            assert_eq!(
                Target::from(script),
                Target::Script(script.into()),
                "{script}"
            );
        }
        for module in ["iris", "models.iris", "_private", "größe.modell"] {
            assert_eq!(
                Target::from(module),
                Target::Module(module.into()),
                "{module}"
            );
        }
    }

    #[test]
    fn the_macro_is_relative_to_the_crate() {
        let Target::Script(path) = crate::script!("src/lib.rs") else {
            panic!("not a script");
        };
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    }

    #[test]
    fn an_error_shows_the_absolute_path() {
        let here = std::env::current_dir().unwrap();
        let message = |target: Target| target.resolve().unwrap_err().to_string();

        let expected = format!("the script {} does not exist", here.join("no.py").display());
        assert_eq!(message("no.py".into()), expected);
        let expected = format!("the script {} is not a file", here.join("src").display());
        assert_eq!(message(Path::new("src").into()), expected);
        let module = Target::Module("a..b".to_owned());
        assert_eq!(
            message(module),
            "\"a..b\" is not the name of a Python module"
        );
    }

    #[test]
    fn a_found_script_is_absolute_and_knows_its_directory() {
        let found = Target::from(Path::new("src/lib.rs")).resolve().unwrap();
        let directory = std::env::current_dir().unwrap().join("src");
        assert_eq!(found.directory(), Some(directory.as_path()));
    }
}
