//! Every call that was accepted ends exactly once, with its own value or with an error that says what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use pyproc_runtime::{Error, Fate, Json, Pool, Restart, WorkerState};
use tokio::time::timeout;

use crate::support::{Act, FakeWorker, Request, attach, echo_all, holds, scenario, until, within};

/// How many callers there are in a storm, and how many calls each of them makes, one after the other.
const CALLERS: u64 = 40;
const CALLS_EACH: u64 = 20;

/// How many workers an idempotent call may take with it in the storm.
const POISON_LIMIT: u32 = 3;

/// What a call of the storm came to.
struct End {
    is_idempotent: bool,
    /// `None` when its caller gave it up.
    result: Option<Result<u64, Error>>,
}

#[test]
fn in_a_storm_of_deaths_deadlines_and_dropped_calls_every_call_ends_once() {
    for seed in [1, 2, 3] {
        scenario(async || {
            let is_calm = Arc::new(AtomicBool::new(false));
            let calm = Arc::clone(&is_calm);
            let workers = FakeWorker::crew(4, move |request| match calm.load(Ordering::SeqCst) {
                true => vec![request.echo()],
                false => mood(request),
            });
            let pool = attach(&workers)
                .max_in_flight_per_worker(3)
                .max_waiting(20)
                .poison_limit(POISON_LIMIT)
                .deadline(Duration::from_millis(500))
                .overdue_after(Duration::from_millis(20))
                .restart(tireless())
                .start()
                .await
                .unwrap();
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| tokio::spawn(make_calls(pool.clone(), caller, seed)))
                .collect();
            let mut ends = BTreeMap::new();
            for caller in callers {
                ends.extend(within("the end of all calls", caller).await.unwrap());
            }
            assert_eq!(ends.len() as u64, CALLERS * CALLS_EACH);

            is_calm.store(true, Ordering::SeqCst);
            until("all permits are back", || {
                let status = pool.status();
                status.in_flight == 0
                    && status.waiting == 0
                    && status.workers.iter().all(|worker| worker.in_flight == 0)
            })
            .await;
            audit(&ends, &workers, &pool);
            until("all slots have workers again", || {
                let workers = pool.status().workers;
                workers
                    .iter()
                    .all(|worker| worker.state == WorkerState::Ready)
            })
            .await;
            for call in echo_all(&pool, 0..20) {
                within("an answer in the calm", call)
                    .await
                    .unwrap()
                    .unwrap();
            }
        });
    }
}

/// In a storm workers die more often in a row than a slot is allowed to by default.
fn tireless() -> Restart {
    let backoff = Duration::from_millis(2);
    Restart::new()
        .backoff(backoff)
        .max_backoff(backoff)
        .intensity(u32::MAX)
}

/// A worker of many moods.
fn mood(request: &Request) -> Vec<Act> {
    let pause = Duration::from_micros(fastrand::u64(..5000));
    match fastrand::u8(..100) {
        0..60 => vec![request.echo()],
        60..80 => vec![request.echo().after(pause)],
        80..88 => vec![request.exception("Moody", "not today")],
        88..92 => vec![Act::Close],
        92..94 => vec![request.echo(), Act::Close],
        94..96 => vec![Act::Close.after(pause)],
        96..98 => vec![Act::Write(b"anything but a frame".to_vec())],
        _ => vec![],
    }
}

async fn make_calls(pool: Pool<Json>, caller: u64, seed: u64) -> Vec<(u64, End)> {
    let mut random = Rng::with_seed(seed * 1000 + caller);
    let mut ends = Vec::new();
    for number in caller * CALLS_EACH..(caller + 1) * CALLS_EACH {
        let mut call = pool.call::<_, u64>("echo", number);
        let is_idempotent = random.bool();
        if is_idempotent {
            call = call.idempotent();
        }
        if random.bool() {
            call = call.deadline(Duration::from_millis(random.u64(1..60)));
        }
        let patience = match random.u8(..4) {
            0 => Duration::from_micros(random.u64(..4000)),
            _ => Duration::from_secs(60),
        };
        let result = timeout(patience, call).await.ok();
        ends.push((
            number,
            End {
                is_idempotent,
                result,
            },
        ));
    }
    ends
}

/// Holds what the callers were told against what the workers have seen.
fn audit(ends: &BTreeMap<u64, End>, workers: &[FakeWorker], pool: &Pool<Json>) {
    let mut arrivals: BTreeMap<u64, u32> = BTreeMap::new();
    for worker in workers {
        let record = worker.record();
        let mut last = BTreeMap::new();
        for request in &record.requests {
            *arrivals.entry(request.number()).or_default() += 1;
            let before = last.insert(request.connection, request.call).unwrap_or(0);
            assert!(
                before < request.call,
                "ids are given in the order of the wire"
            );
        }
    }
    let (mut returned, mut failed) = (0, 0);
    for (number, end) in ends {
        let arrived = arrivals.get(number).copied().unwrap_or(0);
        let limit = if end.is_idempotent { POISON_LIMIT } else { 1 };
        assert!(arrived <= limit, "call {number} arrived {arrived} times");
        match &end.result {
            Some(Ok(value)) => {
                returned += 1;
                assert_eq!(value, number, "a reply went to the wrong caller");
                assert!(arrived >= 1);
            }
            Some(Err(error)) => {
                failed += 1;
                if error.fate() == Fate::NotStarted {
                    assert_eq!(arrived, 0, "call {number} was started: {error}");
                }
            }
            None => {}
        }
    }
    let counts = pool.status().counts;
    assert_eq!((counts.returned, counts.failed), (returned, failed));
    assert!(
        returned > 0 && failed > 0 && counts.resent > 0,
        "it was no storm: {counts:?}"
    );
}

#[test]
fn replies_out_of_turn_reach_their_own_callers() {
    scenario(async || {
        let worker = FakeWorker::that(|request| {
            let pause = Duration::from_micros(fastrand::u64(..3000));
            [request.echo().after(pause)]
        });
        let pool = attach([&worker])
            .max_in_flight_per_worker(16)
            .start()
            .await
            .unwrap();
        for (number, call) in echo_all(&pool, 0..200).into_iter().enumerate() {
            assert_eq!(
                within("an answer", call).await.unwrap().unwrap(),
                number as u64
            );
        }
        let peak = worker.gauge().peak();
        assert!((2..=16).contains(&peak), "{peak} calls at once");
    });
}

#[test]
fn a_call_that_comes_back_finds_its_place_though_the_line_is_full() {
    scenario(async || {
        let workers = FakeWorker::crew(2, holds);
        let pool = attach(&workers)
            .max_waiting(1)
            .restart(false)
            .start()
            .await
            .unwrap();
        let wanted = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.call::<_, u64>("echo", 1).idempotent().await })
        };
        let held = workers[0].call(1).await;
        let others = echo_all(&pool, 2..4);
        until("the line is full", || pool.status().waiting == 1).await;
        held.then(Act::Close);
        until("it waits, too", || pool.status().waiting == 2).await;
        workers[1].answers_from_now_on();
        for call in others {
            within("an answer", call).await.unwrap().unwrap();
        }
        assert_eq!(within("an answer", wanted).await.unwrap().unwrap(), 1);
        assert_eq!(pool.status().counts.overloaded, 0);
    });
}

#[test]
fn an_error_after_the_first_attempt_does_not_claim_that_nothing_ran() {
    scenario(async || {
        let worker = FakeWorker::that(|_| [Act::Close]);
        let pool = attach([&worker]).restart(false).start().await.unwrap();
        let call = pool.call::<_, u64>("echo", 1).idempotent();
        let error = within("an end", call).await.unwrap_err();
        assert_eq!(error.kind(), pyproc_runtime::ErrorKind::Unavailable);
        assert_eq!(error.fate(), Fate::MayHaveRun);
        assert!(!error.is_retryable());
    });
}

#[test]
fn a_result_of_another_type_is_the_caller_s_own_affair() {
    scenario(async || {
        let worker = FakeWorker::that(crate::support::echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let error = within("an end", pool.call::<_, u64>("echo", "text"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (pyproc_runtime::ErrorKind::Codec, Fate::Failed)
        );
        let answer: String = within("an answer", pool.call("echo", "text"))
            .await
            .unwrap();
        assert_eq!(
            (answer.as_str(), worker.record().connections.len()),
            ("text", 1)
        );
    });
}
