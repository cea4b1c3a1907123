//! The steps of `cargo xtask test`, in the order in which they run: quick ones first.

use anyhow::Result;

use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{
    chaos, dependencies, errors_table, examples, faults_table, fuzz, lint, native, python, readme,
    rust_tests, sanitizer, setup, sources,
};

/// One thing that CI checks.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Context) -> Result<Outcome>,
}

/// What a step works on.
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) tally: Tally,
}

/// How a step ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// The machine lacks what the step needs, and the step is one that may be left out.
    Skipped(String),
}

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "setup",
        about: "`.venv` is there and holds what the requirements say",
        run: setup::step,
    },
    Step {
        name: "fmt",
        about: "rustfmt has nothing to change",
        run: lint::fmt,
    },
    Step {
        name: "ruff",
        about: "ruff has nothing to say about the Python files",
        run: python::ruff,
    },
    Step {
        name: "sources",
        about: "no file has what its place forbids: clocks in the protocol, local paths",
        run: sources::step,
    },
    Step {
        name: "dependencies",
        about: "crates depend on each other along the arrows of the architecture only",
        run: dependencies::step,
    },
    Step {
        name: "deny",
        about: "licenses, advisories and sources of dependencies (cargo-deny)",
        run: lint::deny,
    },
    Step {
        name: "native",
        about: "the native core is built with maturin and installed into `.venv`",
        run: native::step,
    },
    Step {
        name: "mypy",
        about: "mypy --strict over the Python package",
        run: python::mypy,
    },
    Step {
        name: "pytest",
        about: "the Python package's tests with both loops and the optional packages",
        run: python::pytest,
    },
    Step {
        name: "pytest-bare",
        about: "the same tests with the pure loop and nothing but the standard library",
        run: python::pytest_bare,
    },
    Step {
        name: "python-install",
        about: "`pip install ./pyproc-py` works, and a host uses what it installed",
        run: python::install,
    },
    Step {
        name: "clippy",
        about: "clippy over every target with every feature",
        run: lint::clippy,
    },
    Step {
        name: "features",
        about: "every combination of features compiles without a warning",
        run: rust_tests::features,
    },
    Step {
        name: "rustdoc",
        about: "the documentation builds without a warning",
        run: lint::rustdoc,
    },
    Step {
        name: "fuzz-check",
        about: "the fuzz targets compile",
        run: fuzz::check,
    },
    Step {
        name: "targets",
        about: "cargo check for macOS and arm64, where their targets are installed",
        run: lint::targets,
    },
    Step {
        name: "test",
        about: "cargo test with the default features, workers with the pure loop",
        run: rust_tests::default_features,
    },
    Step {
        name: "doctest",
        about: "the examples in the documentation, the README's among them",
        run: rust_tests::doctests,
    },
    Step {
        name: "readme",
        about: "the README is the crate's documentation, so its blocks are doctests",
        run: readme::step,
    },
    Step {
        name: "errors-table",
        about: "every row of docs/errors.md names a test that passes",
        run: errors_table::step,
    },
    Step {
        name: "faults-table",
        about: "every fault has a row in docs/reliability.md, with a test that passes",
        run: faults_table::step,
    },
    Step {
        name: "examples",
        about: "each example runs and ends as it promises",
        run: examples::step,
    },
    Step {
        name: "concurrency",
        about: "the ledger, the permit and the waiting line under many schedules (shuttle)",
        run: rust_tests::concurrency,
    },
    Step {
        name: "sanitizer",
        about: "unsafe code of the runtime under the address sanitizer, where the toolchain has it",
        run: sanitizer::runtime,
    },
    Step {
        name: "sanitizer-core",
        about: "the native core under the address sanitizer, in workers of the Python tests",
        run: sanitizer::native,
    },
    Step {
        name: "test-msgpack",
        about: "cargo test of the facade with MessagePack as its codec and the native core",
        run: rust_tests::msgpack,
    },
    Step {
        name: "test-programs",
        about: "the own tests of the benchmark and of the chaos run",
        run: rust_tests::programs,
    },
    Step {
        name: "chaos",
        about: "a short chaos run: no call is lost while workers are killed",
        run: chaos::step,
    },
    Step {
        name: "test-portable",
        about: "cargo test with the plain-POSIX fallbacks (--cfg pyproc_portable) and the native core",
        run: rust_tests::portable,
    },
];
