//! The README is the crate's documentation, so that its Rust blocks are compiled as doctests.

use std::fs;

use anyhow::{Result, ensure};

use crate::step::{Context, Outcome};

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let facade = fs::read_to_string(context.workspace.path("src/lib.rs"))?;
    ensure!(
        facade.contains("#![doc = include_str!(\"../README.md\")]"),
        "src/lib.rs does not include README.md as its documentation"
    );
    let readme = fs::read_to_string(context.workspace.path("README.md"))?;
    let blocks = rust_blocks(&readme);
    ensure!(!blocks.is_empty(), "README.md has no Rust block");
    for (line, attributes) in &blocks {
        ensure!(
            !attributes.contains("ignore"),
            "README.md:{line}: this block is never compiled"
        );
    }
    println!("{} Rust blocks in the README are doctests", blocks.len());
    Ok(Outcome::Passed)
}

/// The line and the attributes of every block that is Rust or that rustdoc takes for Rust.
fn rust_blocks(text: &str) -> Vec<(usize, &str)> {
    let mut blocks = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let Some(attributes) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        open = !open;
        let first = attributes.split([',', ' ']).next().unwrap_or_default();
        if open && ["", "rust", "no_run", "ignore", "compile_fail"].contains(&first) {
            blocks.push((index + 1, attributes));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_rust_blocks_are_found() {
        let text = "```rust,no_run\nx\n```\n```python\ny\n```\ntext\n```\nz\n```\n";
        let found = super::rust_blocks(text);
        assert_eq!(found, [(1, "rust,no_run"), (8, "")]);
    }
}
