//! A peer's processes.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a peer may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Python program of ours that serves by a peer's means, and all that it has started.
pub(crate) struct Peer {
    process: Child,
}

/// What a peer's program said first.
pub(crate) enum Said {
    Ready(Peer),
    Unfit(String),
}

impl Peer {
    /// Starts the script, and waits until it says that it is ready.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Result<Said> {
        let mut process = command(script, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("no standard output")?;
        let peer = Self { process };
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line)?;
        // What it prints later goes nowhere, and must not kill it.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        match line.trim() {
            "ready" => Ok(Said::Ready(peer)),
            other => match other.strip_prefix("unfit: ") {
                Some(reason) => Ok(Said::Unfit(reason.to_owned())),
                None => bail!("{script} has not become ready: {other:?}"),
            },
        }
    }

    /// The process and all its descendants.
    pub(crate) fn pids(&self) -> Vec<u32> {
        descendants(self.process.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let all = self.pids();
        // They end with their input.
        drop(self.process.stdin.take());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in all {
            signal(pid, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

/// One of the benchmark's Python programs, in the interpreter of the workers.
pub(crate) fn command(script: &str, arguments: &[&str]) -> Command {
    let python = env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command
        .arg(format!(
            concat!(env!("CARGO_MANIFEST_DIR"), "/python/{}"),
            script
        ))
        .args(arguments);
    command
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid: Option<u32> = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let (Some(pid), Ok(stat)) = (pid, stat) {
            parents.extend(parent(&stat).map(|parent| (pid, parent)));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        let children = parents.iter().filter(|(_, parent)| *parent == member);
        family.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

/// `42 (a name) S 7 …` to 7; the name may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read() {
        assert_eq!(parent("42 (a) b) S 7 42 42"), Some(7));
        assert_eq!(parent("42"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_is_found() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let family = descendants(std::process::id());
        let found = family.contains(&child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
