//! What a pool says about its shutdown.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The steps of its shutdown that the pool of this name has reported so far, in order.
pub(crate) fn shutdown_steps(pool: &str) -> Vec<u64> {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    steps.get(pool).cloned().unwrap_or_default()
}

/// Begins to listen, once for the process: a pool's supervisor may run on any thread.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
}

/// The steps by pool.
static STEPS: Mutex<BTreeMap<String, Vec<u64>>> = Mutex::new(BTreeMap::new());

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pyproc::pool"
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let (Some(pool), Some(step)) = (fields.pool, fields.step) {
            let mut steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
            steps.entry(pool).or_default().push(step);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    pool: Option<String>,
    step: Option<u64>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "pool" {
            self.pool = Some(value.to_owned());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "step" {
            self.step = Some(value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, u64::try_from(value).unwrap_or_default());
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
