//! What the Rust toolchain itself says about the code.

use anyhow::{Context as _, Result};

use crate::command::{read, run, succeeds};
use crate::step::{Context, Outcome};

const FUZZ_MANIFEST: &str = "pyproc-proto/fuzz/Cargo.toml";

/// The platforms that the project supports beside the one it is built on.
const TARGETS: [&str; 4] = [
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
];

pub(crate) fn fmt(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    run(&mut workspace.cargo(["fmt", "--manifest-path", FUZZ_MANIFEST, "--check"]))?;
    Ok(Outcome::Passed)
}

/// Warnings are denied by an argument to clippy and not by `RUSTFLAGS`, which would rebuild every
/// dependency.
pub(crate) fn clippy(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["clippy", "--workspace"]);
    command.args(["--all-targets", "--all-features", "--", "-D", "warnings"]);
    run(&mut command)?;
    Ok(Outcome::Passed)
}

pub(crate) fn rustdoc(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["doc", "--workspace", "--no-deps"]);
    command.args(["--all-features", "--document-private-items"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

/// Advisories come over the network, which a machine may lack; the rest is in the lock file.
pub(crate) fn deny(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    if !succeeds(&mut workspace.cargo(["deny", "--version"])) {
        return Ok(Outcome::Skipped("cargo-deny is not installed".into()));
    }
    let mut offline = workspace.cargo(["deny", "--all-features", "--log-level", "error", "check"]);
    run(offline.args(["bans", "licenses", "sources"]))?;
    if !succeeds(&mut workspace.cargo(["deny", "fetch", "db"])) {
        let reason = "advisories only: their database cannot be fetched";
        return Ok(Outcome::Skipped(reason.into()));
    }
    run(&mut workspace.cargo(["deny", "--all-features", "check", "advisories"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn targets(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    let mut rustup = workspace.program("rustup");
    if !succeeds(rustup.arg("--version")) {
        return Ok(Outcome::Skipped("rustup is not installed".into()));
    }
    let mut list = workspace.program("rustup");
    let installed = read(list.args(["target", "list", "--installed"]))?;
    let version = read(workspace.program("rustc").arg("-vV"))?;
    let host = host(&version).context("`rustc -vV` names no host")?;
    let foreign: Vec<_> = TARGETS
        .into_iter()
        .filter(|target| *target != host && installed.lines().any(|line| line == *target))
        .collect();
    if foreign.is_empty() {
        return Ok(Outcome::Skipped(format!("only {host} is installed")));
    }
    for target in foreign {
        // What developers run on their own machines is compiled there.
        let mut check = workspace.cargo(["check", "--workspace"]);
        check.args(["--exclude", "xtask", "--exclude", "pyproc-bench"]);
        check.args(["--exclude", "pyproc-chaos"]);
        // Which Python it is for is of no matter here, and none of that platform can be asked.
        check.env("PYO3_CROSS_PYTHON_VERSION", "3.11");
        run(check.args(["--all-features", "--target", target]))?;
    }
    Ok(Outcome::Passed)
}

pub(crate) fn host(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_host_is_read_from_the_compiler() {
        let version = "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        assert_eq!(super::host(version), Some("x86_64-unknown-linux-gnu"));
    }
}
