//! The host against fake workers, without Python: each scenario is named after the threat that it stands up to.
//!
//! Every scenario is played on a runtime with one thread and on one with several, and fails when it leaves a descriptor
//! open. The fake workers speak the protocol through `pyproc-proto`'s own worker side, and fail the test if the host
//! breaks the grammar.
#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

#[path = "../../../pyproc-proto/tests/support/counting.rs"]
mod counting;
mod support;

mod admission;
mod breakers;
mod fairness;
mod handshake;
mod hot_path;
mod json_protocol;
mod ledger;
mod many;
mod one_way;
mod runtime_end;
mod shutdown;
mod supervision;
mod wire;
