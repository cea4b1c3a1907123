//! What can be in a body. Most of it is in `bad_data.rs` and `bad_calls.rs`, where no worker is lost for it.

use std::time::Duration;

use pyproc::{ErrorKind, Fate};
use serde_json::{Value, json};

use crate::oracle::costs_its_worker;
use crate::support::{pool, scenario};

/// Numbers have no random hashes in Python: all multiples of 2^61 - 1 collide.
fn colliding(count: u128) -> Value {
    let key = |factor: u128| (factor * ((1 << 61) - 1)).to_string();
    Value::from_iter((0..count).map(|factor| (key(factor), json!(1))))
}

#[test]
fn fault_50_colliding_keys_cost_no_more_than_the_deadline() {
    scenario(async {
        let pool = pool("faults.py").workers(2).max_in_flight_per_worker(1);
        // How soon a decoder can be interrupted depends on which one it is.
        let pool = pool
            .interrupt_after(None)
            .overdue_after(Duration::from_millis(300));
        let pool = pool.start().await.unwrap();
        let deadline = Duration::from_millis(500);
        let few = pool.call::<_, u64>("by_number", colliding(100));
        assert_eq!(few.await.unwrap(), 100);
        let many = colliding(100_000);
        let end = (ErrorKind::Deadline, Fate::MayHaveRun);
        costs_its_worker(&pool, "by_number", many, deadline, end, &["`by_number`"]).await;
        pool.shutdown().await.unwrap();
    });
}
