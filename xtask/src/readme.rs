//! The README is the crate's documentation, so that its Rust blocks are compiled as doctests; and the relative links of
//! it and of the documents lead to files that exist.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

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
    let links = check_links(&context.workspace)?;
    println!("{links} relative links lead to files");
    Ok(Outcome::Passed)
}

/// Returns how many links there are.
fn check_links(workspace: &Workspace) -> Result<usize> {
    let mut documents = vec![workspace.path("README.md")];
    for entry in fs::read_dir(workspace.path("docs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "md") {
            documents.push(path);
        }
    }
    documents.sort();
    let mut count = 0;
    let mut broken = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document)?;
        let links = relative_links(&text);
        count += links.len();
        broken.extend(dead_links(&document, &links));
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(count)
}

/// What to say about each link of a document that leads nowhere.
fn dead_links(document: &Path, links: &[(usize, &str)]) -> Vec<String> {
    let directory = document.parent().map_or_else(PathBuf::new, Path::to_owned);
    links
        .iter()
        .filter(|(_, link)| !directory.join(link).exists())
        .map(|(line, link)| {
            let document = document.display();
            format!("{document}:{line}: the link to {link} leads to no file")
        })
        .collect()
}

/// The line and the path, without its anchor, of every link to a file of the repository: `[text](path#anchor)`. Links
/// inside a block of code, to other hosts and to an anchor of the same document are none.
fn relative_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for after in line.split("](").skip(1) {
            let target = after.split([')', ' ']).next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push((index + 1, path));
            }
        }
    }
    links
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
    use std::path::Path;

    use crate::workspace::Workspace;

    #[test]
    fn only_rust_blocks_are_found() {
        let text = "```rust,no_run\nx\n```\n```python\ny\n```\ntext\n```\nz\n```\n";
        let found = super::rust_blocks(text);
        assert_eq!(found, [(1, "rust,no_run"), (8, "")]);
    }

    #[test]
    fn only_links_to_files_are_found() {
        let text = "[a](docs/a.md#x), [b](../b.rs \"title\")\n```\n[c](c.md)\n```\n[d](#d) [e](https://e.org/f.md)\n[f](f)";
        let found = super::relative_links(text);
        assert_eq!(found, [(1, "docs/a.md"), (1, "../b.rs"), (6, "f")]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_line() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let links = [(3, "Cargo.toml"), (4, "../docs"), (5, "src/nowhere.rs")];
        let [dead] = &super::dead_links(&document, &links)[..] else {
            panic!("one link leads nowhere");
        };
        assert!(
            dead.contains("README.md:5: the link to src/nowhere.rs"),
            "{dead}"
        );
    }

    #[test]
    fn the_links_of_the_documents_lead_to_files() {
        assert!(super::check_links(&Workspace::find()).expect("good links") > 10);
    }
}
