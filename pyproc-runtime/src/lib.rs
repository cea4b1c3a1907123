//! The pool of supervised Python workers behind `pyproc`.
//!
//! Use the crate `pyproc`, which adds the macro. In reading order: a [`Call`] asks the [`Pool`]'s gate for a permit,
//! the router chooses the slot, the ledger gets an entry, and the worker's connection carries the frames of the
//! protocol over a lane. The supervisor starts, watches and replaces the workers.

#![cfg_attr(docsrs, feature(doc_cfg))]

// A call, from the caller's side.
pub mod blocking;
mod call;
mod error;
mod remote;
#[cfg(feature = "tower")]
mod service;

pub use call::{
    Argument, Broadcast, Call, CallMany, CallWithMetadata, ItemStream, OneWay, Response,
    with_items, with_try_items,
};
pub use error::{Answers, Error, ErrorKind, Family, Fate, PythonError, Result, WorkerIdentity};
pub use futures_core::Stream;
#[doc(hidden)]
pub use pool::hash_key;
#[doc(hidden)]
pub use remote::{Arguments, FunctionSpec, Interface, Remote};
#[cfg(feature = "tower")]
pub use service::FunctionService;

// The pool: who may run where.
mod config;
mod pool;
mod script;

pub use pool::{
    Breaker, Candidate, Counts, InFlight, LeastLoaded, Pool, PoolBuilder, PoolStatus, Priority,
    Retry, RetryBudget, RoundRobin, Route, Router, RunningCall, Weighted, WorkerState,
    WorkerStatus,
};
pub use script::Target;

// The workers: their processes and their ends.
mod death;
mod event;
mod supervisor;
mod telemetry;
mod worker;

pub use death::DeathReport;
pub use event::{Event, Events, RecycleReason};
pub use supervisor::{Recycle, Restart, ShutdownReport};
pub use worker::{Core, EventLoop, Exit, Resource};

// The frames and the calls in flight.
mod connection;
mod deadline;
mod flavor;
mod lane;
mod ledger;
mod spin;
mod state_page;
mod sync;

pub use spin::Spin;

#[cfg(feature = "msgpack")]
pub use pyproc_proto::MsgPack;
pub use pyproc_proto::{Codec, CodecError, DefaultCodec, Json, Metadata, Protocol};

#[cfg(test)]
#[cfg(pyproc_shuttle)]
mod proofs;
