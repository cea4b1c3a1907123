//! How calls are made: who calls when, and what is written down.

pub(crate) mod blocking;
pub(crate) mod cancel;
pub(crate) mod closed;
pub(crate) mod naps;
pub(crate) mod open;
pub(crate) mod paced;
pub(crate) mod stream;
mod tally;

pub(crate) use tally::Tally;

use std::future::Future;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::protocol::{Function, Load, Order};

/// Something that can be called again and again, by many at once.
///
/// Calls carry a number, so that a reply that went astray is found out.
pub(crate) trait Caller: Clone + Send + Sync + 'static {
    type Reply: Send;

    /// Whether replies are so large that the time of checking them is to be left out.
    const CHECKS_LONG: bool = false;

    fn call(&self, number: u64) -> impl Future<Output = Result<Self::Reply>> + Send;

    /// Whether the reply is the right one. It is checked after the clock was read.
    fn check(&self, number: u64, reply: &Self::Reply) -> Result<()>;
}

/// Something that is called by one thread, which waits.
pub(crate) trait BlockingCaller {
    fn call(&mut self, number: u64) -> Result<()>;

    /// As [`Caller::check`]; the reply lies in the caller.
    fn check(&self, number: u64) -> Result<()>;
}

/// Carries out an order for a caller that can do nothing but be called.
pub(crate) async fn run(caller: &impl Caller, order: &Order) -> Result<Tally> {
    let length = order.length();
    match order.load {
        Load::Closed {
            callers,
            function: Function::Predict,
        } => closed::run(caller, callers, length).await,
        Load::Paced { interval_us } => {
            paced::run(caller, Duration::from_micros(interval_us), length).await
        }
        Load::Saturate { calls } => open::saturate(caller, calls, length).await,
        Load::Open { per_second } => open::poisson(caller, per_second, length).await,
        _ => bail!("the subject cannot do that: {:?}", order.load),
    }
}

/// The numbers that callers ask about: small, so that every request and every reply has the same size, and different
/// from caller to caller and from call to call.
pub(crate) fn question(caller: usize, call: u64) -> u64 {
    (caller as u64 * 37 + call) % 64 + 64
}

/// What the function of the benchmark answers.
pub(crate) fn answer(question: u64) -> u64 {
    question * 2
}
