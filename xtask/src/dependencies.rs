//! The arrows of the architecture: who may depend on whom.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use crate::command::read;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// What one crate may depend on.
struct Arrows {
    package: &'static str,
    /// The crates of the project that it may name; every other one is forbidden.
    own: &'static [&'static str],
    /// If given, the only crates at all that it may name.
    only: Option<&'static [&'static str]>,
    /// Crates that must not be reachable from it, tests included.
    never: &'static [&'static str],
}

/// The runtimes and the doors to the operating system that a sans-io crate has no use for.
const INPUT_AND_OUTPUT: &[&str] = &[
    "async-io", "mio", "nix", "polling", "smol", "socket2", "tokio",
];

const ARROWS: &[Arrows] = &[
    Arrows {
        package: "pyproc-proto",
        own: &[],
        only: None,
        never: INPUT_AND_OUTPUT,
    },
    Arrows {
        package: "pyproc-runtime",
        own: &["pyproc-proto"],
        only: None,
        never: &["pyproc-derive"],
    },
    Arrows {
        package: "pyproc-derive",
        own: &[],
        only: Some(&["proc-macro2", "quote", "syn"]),
        never: INPUT_AND_OUTPUT,
    },
    Arrows {
        package: "pyproc",
        own: &["pyproc-derive", "pyproc-runtime"],
        only: None,
        never: &[],
    },
    Arrows {
        package: "pyproc-bench",
        own: &["pyproc"],
        only: None,
        never: &[],
    },
    Arrows {
        package: "pyproc-chaos",
        own: &["pyproc"],
        only: None,
        never: &[],
    },
    Arrows {
        package: "pyproc-native",
        own: &["pyproc-proto"],
        only: Some(&[
            "bytes",
            "itoa",
            "pyo3",
            "pyo3-build-config",
            "pyproc-proto",
            "rustix",
            "zmij",
        ]),
        never: &["pyproc-runtime", "tokio"],
    },
    Arrows {
        package: "xtask",
        own: &[],
        only: None,
        never: &["pyproc-proto"],
    },
];

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let members = members(&context.workspace)?;
    for member in &members {
        if !ARROWS.iter().any(|arrows| arrows.package == member) {
            bail!("the crate `{member}` has no arrows in xtask/src/dependencies.rs");
        }
    }
    let mut violations = Vec::new();
    for arrows in ARROWS {
        let named = tree(
            &context.workspace,
            arrows.package,
            &["--edges", "normal,build", "--depth", "1"],
        )?;
        let reachable = tree(&context.workspace, arrows.package, &[])?;
        violations.extend(arrows.violations(&members, &named, &reachable));
    }
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    println!("{} crates, each along its arrows", ARROWS.len());
    Ok(Outcome::Passed)
}

impl Arrows {
    fn violations(
        &self,
        members: &BTreeSet<String>,
        named: &BTreeSet<String>,
        reachable: &BTreeSet<String>,
    ) -> Vec<String> {
        let package = self.package;
        let own = named.iter().filter(|name| members.contains(*name));
        let own = own.filter(|name| !self.own.contains(&name.as_str()));
        let own = own.map(|name| format!("{package} must not depend on {name}"));
        let only = named
            .iter()
            .filter(|name| self.only.is_some_and(|only| !only.contains(&name.as_str())))
            .map(|name| format!("{package} may not name {name}"));
        let never = self
            .never
            .iter()
            .filter(|name| reachable.contains(**name))
            .map(|name| {
                format!("{package} must not reach {name}; see cargo tree -p {package} -i {name}")
            });
        own.chain(only).chain(never).collect()
    }
}

/// The names of the workspace's crates.
fn members(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let mut command = workspace.cargo(["tree", "--workspace", "--depth", "0"]);
    let output = read(command.args(["--prefix", "none", "--format", "{p}"]))?;
    Ok(output.lines().filter_map(name).collect())
}

/// The names of the crates in a package's tree with every feature, itself left out.
fn tree(workspace: &Workspace, package: &str, arguments: &[&str]) -> Result<BTreeSet<String>> {
    let mut command = workspace.cargo(["tree", "--package", package, "--all-features"]);
    command.args(["--target", "all", "--prefix", "none", "--format", "{p}"]);
    let output =
        read(command.args(arguments)).with_context(|| format!("what does {package} depend on?"))?;
    let mut names: BTreeSet<_> = output.lines().filter_map(name).collect();
    names.remove(package);
    Ok(names)
}

/// `bytes v1.11.0 (*)` to `bytes`.
fn name(line: &str) -> Option<String> {
    line.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_forbidden_arrow_is_named() {
        let arrows = Arrows {
            package: "proto",
            own: &["base"],
            only: Some(&["base", "bytes"]),
            never: &["tokio"],
        };
        let members = set(&["base", "proto", "runtime"]);
        let fine = arrows.violations(&members, &set(&["base", "bytes"]), &set(&["base", "bytes"]));
        assert_eq!(fine, [""; 0]);
        let found = arrows.violations(&members, &set(&["runtime"]), &set(&["runtime", "tokio"]));
        assert_eq!(
            found,
            [
                "proto must not depend on runtime",
                "proto may not name runtime",
                "proto must not reach tokio; see cargo tree -p proto -i tokio",
            ]
        );
    }

    #[test]
    fn names_are_read_from_the_tree() {
        assert_eq!(name("bytes v1.11.0 (*)").as_deref(), Some("bytes"));
        assert_eq!(name(""), None);
    }
}
