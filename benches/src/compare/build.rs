use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// One of the two that are compared.
pub(super) struct Build {
    pub(super) program: PathBuf,
    pub(super) python: Option<PathBuf>,
}

impl Build {
    /// The one that runs.
    pub(super) fn this() -> Result<Self> {
        Ok(Self {
            program: env::current_exe()?,
            python: env::var_os("PYPROC_PYTHON").map(PathBuf::from),
        })
    }

    /// Builds a commit in a work tree under `target`, where the next comparison finds it again.
    pub(super) fn of(commit: &str) -> Result<Self> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let root = root.canonicalize()?;
        let mut git = Command::new("git");
        git.current_dir(&root)
            .args(["rev-parse", "--verify", "--end-of-options"]);
        let output = git.arg(format!("{commit}^{{commit}}")).output()?;
        ensure!(output.status.success(), "git knows no commit `{commit}`");
        let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();

        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |given| root.join(given));
        let tree = target.join("compare").join(&hash[..12]);
        if !tree.exists() {
            let mut git = Command::new("git");
            git.current_dir(&root)
                .args(["worktree", "add", "--detach", "--force"]);
            execute(git.arg(&tree).arg(&hash))?;
        }
        if !tree.join("benches/Cargo.toml").exists() {
            bail!("{commit} is older than the benchmark in `benches/`, and cannot be driven by it");
        }
        let built = tree.join("target");
        let cargo = |arguments: &[&str]| {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &built);
            cargo.args(arguments);
            cargo
        };
        execute(&mut cargo(&["xtask", "setup"]))?;
        execute(&mut cargo(&[
            "build",
            "--release",
            "--package",
            "pyproc-bench",
        ]))?;
        Ok(Self {
            program: built.join("release/pyproc-bench"),
            python: Some(tree.join(".venv/bin/python")),
        })
    }
}

fn execute(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} has failed: {status}");
    Ok(())
}
