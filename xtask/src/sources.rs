//! What must not stand in a file, by the place where the file lies.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::command::read;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// Words that a part of the tree may not use outside its tests.
struct Rule {
    under: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
    because: &'static str,
}

/// Where the lint against unsafe code may be mentioned, and so lifted.
const UNSAFE_ALLOWED: &[&str] = &[
    "pyproc-py/native/src/descriptor.rs",
    "pyproc-py/native/src/memory.rs",
    "pyproc-py/native/src/page.rs",
    "pyproc-runtime/src/lane/socket.rs",
    "pyproc-runtime/src/state_page/mapping.rs",
    "xtask/src/sources.rs",
];

const RULES: &[Rule] = &[
    Rule {
        under: &["pyproc-proto/src"],
        except: &[],
        words: &[
            "std::env",
            "std::fs",
            "std::net",
            "std::os",
            "std::process",
            "std::thread",
            "Instant::now",
            "SystemTime",
        ],
        because: "the protocol is sans-io: bytes and `now` are its arguments",
    },
    Rule {
        under: &[
            "src",
            "pyproc-proto/src",
            "pyproc-py/native/src",
            "pyproc-py/python",
            "pyproc-runtime/src",
        ],
        except: &[],
        words: &[
            "SystemTime::now",
            "UNIX_EPOCH",
            "ClockId::Realtime",
            "CLOCK_REALTIME",
            "time.time(",
            "time.time_ns(",
            "from time import time",
            "datetime.now",
            "utcnow",
        ],
        because: "somebody may set the wall clock: all time is monotonic (fault 62)",
    },
    Rule {
        under: &[
            "src",
            "pyproc-derive/src",
            "pyproc-proto/src",
            "pyproc-py/native/src",
            "pyproc-runtime/src",
            "xtask/src",
        ],
        except: UNSAFE_ALLOWED,
        words: &["unsafe_code"],
        because: "unsafe code is denied outside the modules listed in xtask/src/sources.rs",
    },
];

/// Directories of one machine; a word must follow, so that this list does not find itself.
const LOCAL_DIRECTORIES: [&str; 3] = ["/home/", "/root/", "/Users/"];

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let mut found = Vec::new();
    let files = files(&context.workspace)?;
    for file in &files {
        // Deleted files are still listed, and binary ones hold no words.
        let Ok(text) = fs::read_to_string(context.workspace.path(file)) else {
            continue;
        };
        for rule in RULES {
            found.extend(rule.violations(file, &text));
        }
        found.extend(local_paths(file, &text));
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    println!("{} files read", files.len());
    Ok(Outcome::Passed)
}

/// The files that are or would be committed.
fn files(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = workspace.program("git");
    git.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let output = read(&mut git).context("the files of the checkout are listed by git")?;
    let names = output.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

impl Rule {
    fn violations(&self, file: &str, text: &str) -> Vec<String> {
        if !(file.ends_with(".rs") || file.ends_with(".py"))
            || file.ends_with("/tests.rs")
            || self.except.contains(&file)
            || !self.under.iter().any(|part| lies_under(file, part))
        {
            return Vec::new();
        }
        let lines = text.lines().enumerate();
        let lines = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        let lines = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        let mut found = Vec::new();
        for (index, line) in lines {
            for word in self.words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{file}:{}: `{word}`: {}", index + 1, self.because));
            }
        }
        found
    }
}

fn lies_under(file: &str, part: &str) -> bool {
    file.strip_prefix(part)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn local_paths(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let named = lines.filter(|(_, line)| names_local_path(line));
    named
        .map(|(index, _)| format!("{file}:{}: names a path of one machine", index + 1))
        .collect()
}

fn names_local_path(line: &str) -> bool {
    LOCAL_DIRECTORIES.iter().any(|directory| {
        line.match_indices(directory).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + directory.len()..].chars().next();
            !before.is_some_and(|c| c.is_alphanumeric() || "_-.}".contains(c))
                && after.is_some_and(|c| c.is_ascii_alphanumeric())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        under: &["proto/src"],
        except: &["proto/src/clock.rs"],
        words: &["Instant::now"],
        because: "no clocks",
    };

    #[test]
    fn a_forbidden_word_is_found_with_its_line() {
        let text = "fn f() {\n    Instant::now();\n}\n";
        assert_eq!(
            RULE.violations("proto/src/a.rs", text),
            ["proto/src/a.rs:2: `Instant::now`: no clocks"]
        );
    }

    #[test]
    fn comments_tests_exceptions_and_other_places_are_free() {
        let used = "Instant::now();";
        let tested = format!("#[cfg(test)]\nmod tests {{\n{used}\n}}");
        for (file, text) in [
            ("proto/src/a.rs", "// Instant::now() is the driver's"),
            ("proto/src/a.rs", tested.as_str()),
            ("proto/src/clock.rs", used),
            ("proto/src_other/a.rs", used),
            ("proto/src/tests.rs", used),
        ] {
            assert_eq!(RULE.violations(file, text), [""; 0], "{file}: {text}");
        }
    }

    #[test]
    fn local_paths_are_told_from_others() {
        for directory in LOCAL_DIRECTORIES {
            assert!(names_local_path(&format!("see {directory}someone/file")));
        }
        assert!(!names_local_path("example.org/home/page"));
        assert!(!names_local_path("the list has \"/home/\" in it"));
    }
}
