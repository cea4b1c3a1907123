#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!("pyproc runs on Linux and macOS: it needs Unix sockets, process groups and signals");

// Calls, typed and by name.
pub use pyproc_derive::remote;
#[cfg(feature = "tower")]
pub use pyproc_runtime::FunctionService;
pub use pyproc_runtime::blocking;
pub use pyproc_runtime::{
    Argument, Broadcast, Call, CallMany, CallWithMetadata, ItemStream, Metadata, OneWay, Pool,
    PoolBuilder, Priority, Response, Target, script, with_items, with_try_items,
};

// What a call can end with.
pub use pyproc_runtime::{
    Answers, DeathReport, Error, ErrorKind, Exit, Family, Fate, PythonError, Result, WorkerIdentity,
};

// How a pool is set up, and what it says about itself.
pub use pyproc_runtime::{
    Breaker, Candidate, Core, Counts, Event, EventLoop, Events, InFlight, LeastLoaded, PoolStatus,
    Recycle, RecycleReason, Resource, Restart, Retry, RetryBudget, RoundRobin, Route, Router,
    RunningCall, ShutdownReport, Spin, Weighted, WorkerState, WorkerStatus,
};

// How bodies and frames are encoded.
#[cfg(feature = "msgpack")]
pub use pyproc_runtime::MsgPack;
pub use pyproc_runtime::{Codec, CodecError, DefaultCodec, Json, Protocol};

/// What methods that yield return: that of the crate `futures`.
pub use pyproc_runtime::Stream;

/// What the methods of `object_safe` traits return that yield.
pub type BoxStream<'a, T> = std::pin::Pin<Box<dyn Stream<Item = T> + Send + 'a>>;

/// For implementations of a trait with `#[pyproc::remote(object_safe)]`.
pub use async_trait::async_trait;

#[doc(hidden)]
pub mod private;
