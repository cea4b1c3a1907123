//! The stage on which a scenario is played: fake workers, a pool attached to them, and a check that nothing is left.

mod act;
mod descriptors;
mod frames;
mod gauge;
mod listener;
mod patience;
mod pools;
mod record;
mod request;
mod session;
mod stage;
mod steps;
mod worker;

pub(crate) use act::Act;
pub(crate) use frames::{frame, json_message, length_prefixed};
pub(crate) use patience::{PATIENCE, until, within};
pub(crate) use pools::{attach, echo, echo_all};
pub(crate) use request::Request;
pub(crate) use stage::{scenario, scenario_without_runtime};
pub(crate) use steps::shutdown_steps;
pub(crate) use worker::{FakeWorker, echoes, holds, welcome, welcomes};
