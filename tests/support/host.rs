//! Hosts in processes of their own, for what a test cannot let happen to itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;

use super::until;

/// A program that is one of the ignored tests of this binary. It is killed when this is dropped.
pub struct Host {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Host {
    /// How the ignored test of this name is run by itself.
    pub fn command(name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--ignored", "--nocapture"]);
        command
    }

    /// Starts the ignored test of this name.
    pub fn start(name: &str) -> Self {
        Self::from(Self::command(name).stderr(Stdio::null()))
    }

    /// Starts what a [`command`](Self::command) was made of.
    pub fn from(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                // Nobody need listen any more.
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Starts the ignored test of this name as the first process of a namespace of its own, where this user may.
    pub fn first_process(name: &str) -> Option<Self> {
        let unshare = ["--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut probe = Command::new("unshare");
        probe.args(unshare).arg("true").stderr(Stdio::null());
        if !probe.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let test = Self::command(name);
        let mut command = Command::new("unshare");
        command.args(unshare).arg(test.get_program());
        command.args(test.get_args()).stderr(Stdio::null());
        Some(Self::from(&mut command))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says something that contains `what`, and returns what follows that in the line.
    ///
    /// # Panics
    ///
    /// When it ends without having said so, or takes too long.
    pub async fn says(&mut self, what: &str) -> String {
        let line = async {
            while let Some(line) = self.lines.recv().await {
                if let Some((_, rest)) = line.split_once(what) {
                    return rest.trim().to_owned();
                }
            }
            panic!("the host has ended without saying: {what}");
        };
        tokio::time::timeout(Duration::from_secs(20), line)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for the host to say: {what}"))
    }

    /// The process ids that it says after `what`.
    pub async fn says_pids(&mut self, what: &str) -> Vec<u32> {
        let line = self.says(what).await;
        line.split(' ').map(|pid| pid.parse().unwrap()).collect()
    }

    /// The standard error, where the command asked for a pipe.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// The standard input, for a host that waits for its end.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the host ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It is no error that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
