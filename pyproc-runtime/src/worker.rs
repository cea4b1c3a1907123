//! Worker processes: the only place that starts, watches, kills and reaps processes.
//!
//! The parts, in the order in which a worker needs them.

mod interpreter;
pub(crate) use interpreter::find;

mod bundle;
pub(crate) use bundle::{Mode, arguments, bundle};

mod core;
pub use core::Core;

mod event_loop;
pub use event_loop::EventLoop;

mod environment;
pub(crate) use environment::{Environment, Inherited};

mod thread_counts;
pub(crate) use thread_counts::share_processors;

mod resource;
pub use resource::Resource;

mod isolation;
pub(crate) use isolation::Isolation;

mod launch;
pub(crate) use launch::{Launch, Spawned, spawn};

mod spawn_error;
pub(crate) use spawn_error::SpawnError;

mod spawner;

mod pipe;

mod process;
pub(crate) use process::Process;

mod child;

mod adopted;

mod pidfd;

mod exit_watch;

mod exit;
pub use exit::Exit;

mod memory;
pub(crate) use memory::resident_bytes;

mod output;
pub(crate) use output::{Outlet, OutputKind, StderrTail, pump};

mod memory_watch;
pub(crate) use memory_watch::MemoryWatch;

mod stacks;
pub(crate) use stacks::Stacks;

mod socket_dir;
pub(crate) use socket_dir::{SocketDir, SocketDirError, peer_uid};

#[cfg(test)]
mod tests;
