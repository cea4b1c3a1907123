use std::env;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

use crate::protocol::{Answer, Greeting, Order, Round};
use crate::spec::Spec;

/// What came of opening a child.
pub(crate) enum Opened {
    Ready(Child),
    /// This machine cannot have the subject.
    Unfit(String),
    /// It did not start, or it failed in a round.
    Failed,
}

/// A subject in a process of its own.
pub(crate) struct Child {
    process: process::Child,
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    about: Option<String>,
}

impl Child {
    /// Starts a subject of another build of this program, with the interpreter of that build.
    pub(crate) fn open_with(program: &Path, python: Option<&Path>, spec: &Spec) -> Result<Opened> {
        Self::launch(program, python, spec)?.opened()
    }

    /// Starts the process of a subject of this program. Several can be on their way to readiness at once.
    pub(crate) fn begin(spec: &Spec) -> Result<Self> {
        Self::launch(&env::current_exe()?, None, spec)
    }

    fn launch(program: &Path, python: Option<&Path>, spec: &Spec) -> Result<Self> {
        let mut command = Command::new(program);
        if let Some(python) = python {
            command.env("PYPROC_PYTHON", python);
        }
        command.arg("child").arg(serde_json::to_string(spec)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let orders = process.stdin.take();
        let answers = process.stdout.take().context("no standard output")?;
        Ok(Self {
            process,
            orders,
            answers: BufReader::new(answers).lines(),
            about: None,
        })
    }

    /// Waits until the subject is there.
    pub(crate) fn opened(mut self) -> Result<Opened> {
        match self.listen()? {
            Greeting::Ready { about } => {
                self.about = about;
                Ok(Opened::Ready(self))
            }
            Greeting::Unfit { reason } => Ok(Opened::Unfit(reason)),
        }
    }

    /// Tells it to end, and does not wait for that.
    pub(crate) fn end(&mut self) {
        drop(self.orders.take());
    }

    /// What runs there, in words.
    pub(crate) fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// One round.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Result<Round> {
        self.order(order)?;
        self.answer()
    }

    /// The first half of a round.
    pub(crate) fn order(&mut self, order: &Order) -> Result<()> {
        let orders = self.orders.as_mut().context("the child was ended")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line)?;
        Ok(orders.flush()?)
    }

    /// The second half: waits for its end.
    pub(crate) fn answer(&mut self) -> Result<Round> {
        match self.listen()? {
            Answer::Done(round) => Ok(round),
            Answer::Failed { reason } => bail!("{reason}"),
        }
    }

    fn listen<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.answers.next().context("the child has ended")??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its input ends it, with its own shutdown. One that does not heed it would be waited for without
        // end, but a subject that cannot be stopped is a finding and not something to be hidden by a kill.
        self.end();
        let _ = self.process.wait();
    }
}
