//! What must hold after every fault. That nothing is left behind, the scenarios assert by themselves.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pyproc::{Codec, Error, ErrorKind, Fate, Pool};
use serde_json::{Value, json};

use crate::all_ready;
use crate::support::assert_error;

/// The deadline of the call to which the fault happens.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// So long after its deadline a call has ended, whatever has happened.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Calls a function that costs its worker, in a pool of several that take one call each, while others call `echo`.
/// Asserts that this call ends as it should, with an error that names its worker and how that ended; that no other call
/// feels it, no other worker is replaced, and every call has ended once; and that the pool is back to its size.
pub(crate) async fn costs_its_worker<C: Codec>(
    pool: &Pool<C>,
    function: &str,
    argument: Value,
    deadline: Duration,
    end: (ErrorKind, Fate),
    culprits: &[&str],
) -> Error {
    let before = pool.status();
    let begin = Instant::now();
    let victim = async {
        let call = pool.call::<_, Value>(function, argument);
        let result = call.deadline(deadline).await;
        (result, begin.elapsed())
    };
    // The victim is polled first, and so has its worker before anybody else comes.
    let ((result, took), ()) = futures::join!(victim, others_call(pool));
    let error = result.expect_err("the call succeeded");
    assert!(took < deadline + GRACE, "it took {took:?}: {error}");
    assert_error(&error, end.0, end.1, culprits);
    let worker = error.worker().expect("the error names the worker").clone();
    assert_eq!(
        worker.pid(),
        before.workers[worker.slot()].pid,
        "{error}: another worker is named"
    );

    let generations: u64 = before.workers.iter().map(|worker| worker.generation).sum();
    all_ready(pool, generations + 1).await;
    let after = pool.status();
    for (old, new) in before.workers.iter().zip(&after.workers) {
        let successors = u64::from(old.slot == worker.slot());
        assert_eq!(new.generation, old.generation + successors, "{new:?}");
        assert_eq!(new.pid == old.pid, successors == 0, "{new:?}");
    }
    let counts = [&before, &after].map(|status| status.counts);
    assert_eq!(counts[1].returned - counts[0].returned, OTHERS as u64);
    assert_eq!(counts[1].failed - counts[0].failed, 1);
    assert_eq!(counts[1].cancelled, counts[0].cancelled);
    assert_eq!((after.in_flight, after.waiting), (0, 0));
    others_call(pool).await;
    error
}

/// How many calls `others_call` makes.
pub(crate) const OTHERS: usize = 100;

/// Calls of four callers that nothing may happen to.
pub(crate) async fn others_call<C: Codec>(pool: &Pool<C>) {
    join_all((0..4).map(|caller| async move {
        for number in 0..OTHERS / 4 {
            let sent = json!([caller, number]);
            let answer: Value = pool.call("echo", &sent).await.unwrap();
            assert_eq!(answer, sent);
        }
    }))
    .await;
}
