//! The programs of `examples/`.

use std::path::PathBuf;
use std::process::Command;

/// Builds an example, which costs nothing when it is built already, and returns the path of its program.
pub fn example(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the example {name} does not build");
    // A test's own program lies in `deps`, beside `examples`.
    let this = std::env::current_exe().unwrap();
    this.ancestors().nth(2).unwrap().join("examples").join(name)
}
