//! Tables in documents whose rows name the tests that prove them, and the tests that there are.

use anyhow::Result;

use crate::command::read_both;
use crate::workspace::Workspace;

/// A row of a table whose header has a column `test`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    /// What stands in the first column.
    pub(crate) first: String,
    /// What stands in backquotes in that column.
    pub(crate) tests: Vec<String>,
}

pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut column = None;
    let mut in_table = false;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            in_table = false;
            continue;
        };
        if !in_table {
            in_table = true;
            let is_test = |cell: &String| ["test", "tests"].contains(&&*cell.to_lowercase());
            column = cells.iter().position(is_test);
            continue;
        }
        let is_rule = cells
            .iter()
            .all(|cell| cell.trim_matches([':', '-']).is_empty());
        if let (Some(column), false) = (column, is_rule) {
            let cell = cells.get(column).map_or("", String::as_str);
            let tests = cell.split('`').skip(1).step_by(2).map(str::to_owned);
            rows.push(Row {
                line: index + 1,
                first: cells.first().cloned().unwrap_or_default(),
                tests: tests.collect(),
            });
        }
    }
    rows
}

/// The cells of a table's line; `\|` is not a border.
fn cells(line: &str) -> Option<Vec<String>> {
    const BAR: &str = "\u{0}";
    let line = line.trim().strip_prefix('|')?;
    let line = line.strip_suffix('|').unwrap_or(line).replace(r"\|", BAR);
    let cells = line.split('|');
    Some(cells.map(|cell| cell.trim().replace(BAR, "|")).collect())
}

/// A Rust test that cargo would run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The root file of its binary, from the root of the checkout if that is known.
    root: String,
    name: String,
}

impl Listed {
    /// Whether `pyproc-proto/src/header.rs::rejects_a_short_length` is this test: the file of a
    /// module stands for the module, and a module `tests` in it goes without saying.
    pub(crate) fn is(&self, reference: &str) -> bool {
        let Some((file, name)) = reference.split_once(".rs::") else {
            return false;
        };
        let file = format!("{file}.rs");
        // The binary of an integration test does not say whose it is; the reference does.
        let directory = self.root.rsplit_once('/').map_or("", |(path, _)| path);
        let package = file.find(&format!("{directory}/")).unwrap_or_default();
        let root = format!("{}{}", &file[..package], self.root);
        let Some(module) = module(&root, &file) else {
            return false;
        };
        let own = self.name.strip_prefix(&module).unwrap_or_default();
        own == name || own.strip_prefix("tests::") == Some(name)
    }
}

/// The path of the module that lies in `file`, with `::` behind it, in the crate that begins at
/// `root`.
fn module(root: &str, file: &str) -> Option<String> {
    if root == file {
        return Some(String::new());
    }
    let (directory, _) = root.rsplit_once('/')?;
    let inside = file.strip_prefix(directory)?.strip_prefix('/')?;
    let path = inside.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(path.replace('/', "::") + "::")
}

/// The tests that the steps of `cargo xtask test` run.
pub(crate) fn listed_tests(workspace: &Workspace) -> Result<Vec<Listed>> {
    let list = |build: &[&str], extra: &[&str]| {
        let mut command = workspace.cargo(["test", "--lib", "--bins", "--tests", "--examples"]);
        command.args(build).args(["--", "--list"]).args(extra);
        read_both(&command).map(|output| listed(&output))
    };
    let mut tests = Vec::new();
    // The builds in which the steps before this one have run all their tests.
    for build in [
        &["--workspace"][..],
        &["--package", "pyproc", "--features", "msgpack,tower"],
    ] {
        let ignored = list(build, &["--ignored"])?;
        tests.extend(
            list(build, &[])?
                .into_iter()
                .filter(|test| !ignored.contains(test)),
        );
    }
    Ok(tests)
}

/// Reads what `cargo test -- --list` prints on both its outputs.
fn listed(output: &str) -> Vec<Listed> {
    let mut root = String::new();
    let mut tests = Vec::new();
    for line in output.lines() {
        if let Some(running) = line.trim_start().strip_prefix("Running ") {
            root = binary_root(running).unwrap_or_default();
        } else if let Some(name) = line.strip_suffix(": test") {
            tests.push(Listed {
                root: root.clone(),
                name: name.to_owned(),
            });
        }
    }
    tests
}

/// `unittests src/lib.rs (target/debug/deps/pyproc_proto-0123)` to `pyproc-proto/src/lib.rs`;
/// `tests/calls.rs (…)` stays as it is.
fn binary_root(running: &str) -> Option<String> {
    let (source, binary) = running.split_once(" (")?;
    let Some(source) = source.strip_prefix("unittests ") else {
        return Some(source.to_owned());
    };
    let name = binary.rsplit('/').next()?.rsplit_once('-')?.0;
    let package = name.replace('_', "-");
    let in_root = package == "pyproc" || source.starts_with("examples/");
    Some(if in_root {
        source.to_owned()
    } else {
        format!("{package}/{source}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_tables_with_a_column_test() {
        let text = "| origin | ours |\n|---|---|\n| `A` | `B` |\n\n\
            | input | kind | message | test |\n| --- | :-- | --- | --- |\n\
            | a \\| b | `x` | m | `tests/a.rs::one`, `tests/b.rs::two` |\n\
            | c | `y` | m | none |\n";
        let expected = [
            Row {
                line: 7,
                first: "a | b".into(),
                tests: vec!["tests/a.rs::one".into(), "tests/b.rs::two".into()],
            },
            Row {
                line: 8,
                first: "c".into(),
                tests: vec![],
            },
        ];
        assert_eq!(rows(text), expected);
    }

    #[test]
    fn tests_are_read_with_the_root_of_their_binary() {
        let output = "    Finished `test` profile\n\
            \x20    Running unittests src/lib.rs (target/debug/deps/pyproc_proto-0a1b)\n\
            header::tests::short: test\n\n1 test, 0 benchmarks\n\
            \x20    Running tests/calls.rs (target/debug/deps/calls-0a1b)\n\
            dies: test\n\n1 test, 0 benchmarks\n";
        let found: Vec<_> = listed(output)
            .into_iter()
            .map(|t| (t.root, t.name))
            .collect();
        let expected = [
            ("pyproc-proto/src/lib.rs", "header::tests::short"),
            ("tests/calls.rs", "dies"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_reference_names_a_test_by_its_file() {
        for (root, name, reference, expected) in [
            ("tests/calls.rs", "dies", "tests/calls.rs::dies", true),
            (
                "tests/calls.rs",
                "dies",
                "pyproc-runtime/tests/calls.rs::dies",
                true,
            ),
            ("tests/calls.rs", "dies", "tests/calls.rs::die", false),
            ("tests/calls.rs", "dies", "tests/other.rs::dies", false),
            ("tests/a/main.rs", "b::dies", "tests/a/b.rs::dies", true),
            ("tests/a/main.rs", "b::dies", "p/tests/a/b.rs::dies", true),
            ("tests/a/main.rs", "b::dies", "tests/b.rs::dies", false),
            ("tests/a.rs", "b::dies", "tests/a.rs::b::dies", true),
            (
                "p/src/lib.rs",
                "header::tests::short",
                "p/src/header.rs::short",
                true,
            ),
            (
                "p/src/lib.rs",
                "header::tests::short",
                "p/src/header.rs::tests::short",
                true,
            ),
            ("p/src/lib.rs", "a::b::short", "p/src/a/b.rs::short", true),
            (
                "p/src/lib.rs",
                "header::tests::short",
                "q/src/header.rs::short",
                false,
            ),
            ("tests/calls.rs", "dies", "dies", false),
        ] {
            let listed = Listed {
                root: root.into(),
                name: name.into(),
            };
            assert_eq!(
                listed.is(reference),
                expected,
                "{reference} as {root} {name}"
            );
        }
    }
}
