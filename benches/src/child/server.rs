use std::io::{BufRead as _, Lines, StdinLock, StdoutLock, Write as _, stdin, stdout};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::cpu;
use crate::load::Tally;
use crate::protocol::{Answer, Greeting, Order, Round};

/// The child's end of the conversation with the driver.
pub(crate) struct Server {
    orders: Lines<StdinLock<'static>>,
    answers: StdoutLock<'static>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            orders: stdin().lock().lines(),
            answers: stdout().lock(),
        }
    }

    pub(crate) fn greet(&mut self, greeting: &Greeting) -> Result<()> {
        self.say(greeting)
    }

    pub(crate) fn ready(&mut self, about: Option<String>) -> Result<()> {
        self.greet(&Greeting::Ready { about })
    }

    pub(crate) fn unfit(&mut self, reason: impl Into<String>) -> Result<()> {
        let reason = reason.into();
        self.greet(&Greeting::Unfit { reason })
    }

    /// Carries out the driver's orders to the last one, counting the processor time of both sides.
    pub(crate) fn serve(
        &mut self,
        workers: impl Fn() -> Vec<u32>,
        mut carry_out: impl FnMut(&Order) -> Result<Tally>,
    ) -> Result<()> {
        self.answer(|order| {
            let workers = workers();
            let worker_before = cpu::of(&workers);
            let host_before = cpu::own();
            let tally = carry_out(order)?;
            let host = cpu::own() - host_before;
            let worker = cpu::of(&workers).zip(worker_before);
            let worker = worker.map(|(after, before)| after.saturating_sub(before));
            Ok(tally.into_round(host, worker))
        })
    }

    /// As [`serve`](Self::serve), for subjects that count by themselves.
    pub(crate) fn answer(
        &mut self,
        mut carry_out: impl FnMut(&Order) -> Result<Round>,
    ) -> Result<()> {
        while let Some(line) = self.orders.next() {
            let order: Order = serde_json::from_str(&line?)?;
            let answer = match carry_out(&order) {
                Ok(round) => Answer::Done(round),
                Err(error) => Answer::Failed {
                    reason: format!("{error:#}"),
                },
            };
            self.say(&answer)?;
        }
        Ok(())
    }

    fn say(&mut self, message: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.answers.write_all(&line)?;
        Ok(self.answers.flush()?)
    }
}

impl Order {
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
