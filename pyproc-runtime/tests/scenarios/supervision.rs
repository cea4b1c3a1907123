//! Workers that are lost, and what becomes of the slot and of the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyproc_proto::{Hello, Status};
use pyproc_runtime::{ErrorKind, Fate, Recycle, Restart, WorkerState};

use crate::support::{
    Act, FakeWorker, Request, attach, echo, echo_all, echoes, holds, scenario, until, welcomes,
    within,
};

/// Closes the connection in place of an answer, on the first connection only.
fn dies_at_first(request: &Request) -> [Act; 1] {
    match request.connection {
        1 => [Act::Close],
        _ => [request.echo()],
    }
}

#[test]
fn a_lost_worker_is_connected_to_again() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        for generation in 2..6 {
            worker.does(Act::Close);
            until("its replacement is ready", || {
                let slot = &pool.status().workers[0];
                slot.state == WorkerState::Ready && slot.generation == generation
            })
            .await;
            let answer: u64 = within("an answer", pool.call("echo", generation))
                .await
                .unwrap();
            assert_eq!(answer, generation);
        }
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(
            failure.starts_with("the worker closed its connection"),
            "{failure}"
        );
    });
}

#[test]
fn the_first_death_is_answered_at_once() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let hour = Duration::from_secs(3600);
        let restart = Restart::new().backoff(hour).max_backoff(hour);
        let pool = attach([&worker]).restart(restart).start().await.unwrap();
        worker.does(Act::Close);
        until("its replacement is ready", || {
            let slot = &pool.status().workers[0];
            slot.state == WorkerState::Ready && slot.generation == 2
        })
        .await;
    });
}

#[test]
fn fault_13_a_slot_whose_workers_keep_dying_is_degraded_and_calls_fail_at_once() {
    scenario(async || {
        let worker = FakeWorker::greeting(gone_after_the_first, echoes);
        let hour = Duration::from_secs(3600);
        let restart = Restart::new()
            .backoff(Duration::from_millis(5))
            .max_backoff(hour)
            .intensity(3);
        let pool = attach([&worker]).restart(restart).start().await.unwrap();
        worker.does(Act::Close);
        until("the slot is degraded", || {
            pool.status().workers[0].state == WorkerState::Degraded
        })
        .await;
        assert_eq!(worker.record().connections.len(), 4);
        let error = within("a refusal", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Unavailable, Fate::NotStarted)
        );
        assert!(error.is_retryable(), "{error}");
        within("the end", pool.shutdown()).await.unwrap();
    });
}

#[test]
fn fault_13_a_degraded_slot_is_tried_again_and_a_worker_that_lives_opens_the_pool() {
    scenario(async || {
        let is_mended = Arc::new(AtomicBool::new(false));
        let greeting = {
            let is_mended = Arc::clone(&is_mended);
            move |hello: &Hello| match is_mended.load(Ordering::SeqCst) {
                true => welcomes(hello),
                false => gone_after_the_first(hello),
            }
        };
        let worker = FakeWorker::greeting(greeting, holds);
        let restart = Restart::new()
            .backoff(Duration::from_millis(2))
            .max_backoff(Duration::from_millis(40))
            .period(Duration::from_millis(300))
            .intensity(1);
        let pool = attach([&worker])
            .max_in_flight_per_worker(4)
            .restart(restart)
            .start()
            .await
            .unwrap();
        worker.does(Act::Close);
        let state = || pool.status().workers[0].state;
        until("the slot is degraded", || state() == WorkerState::Degraded).await;
        let tries = worker.record().connections.len();
        worker
            .until("it is tried, and tried again", |record| {
                record.connections.len() > tries + 2
            })
            .await;
        assert_eq!(state(), WorkerState::Degraded, "all tries failed");
        is_mended.store(true, Ordering::SeqCst);
        until("one lives", || state() == WorkerState::Ready).await;
        // On probation it gets one call; then it is as good as any other.
        let calls = echo_all(&pool, 0..3);
        worker.call(1).await;
        assert_eq!(pool.status().in_flight, 1);
        worker.call(3).await;
        worker.answers_from_now_on();
        for call in calls {
            within("an answer", call).await.unwrap().unwrap();
        }
    });
}

#[test]
fn without_restart_a_lost_worker_stays_lost_and_everybody_hears_of_it() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).restart(false).start().await.unwrap();
        let calls = echo_all(&pool, 0..3);
        worker.call(1).await.then(Act::Close);
        let mut kinds = Vec::new();
        for call in calls {
            kinds.push(within("an end", call).await.unwrap().unwrap_err().kind());
        }
        kinds.sort_by_key(|kind| format!("{kind:?}"));
        let expected = [
            ErrorKind::Unavailable,
            ErrorKind::Unavailable,
            ErrorKind::WorkerDied,
        ];
        assert_eq!(kinds, expected);

        let error = within("a refusal", pool.call::<_, u64>("echo", 3))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Unavailable, Fate::NotStarted)
        );
        assert_eq!(pool.status().workers[0].state, WorkerState::Failed);
        assert_eq!(
            (worker.record().connections.len(), pool.status().in_flight),
            (1, 0)
        );
    });
}

#[test]
fn when_a_slot_is_degraded_those_who_wait_and_those_who_come_are_told() {
    scenario(async || {
        let worker = FakeWorker::greeting(gone_after_the_first, holds);
        let restart = Restart::new()
            .backoff(Duration::from_millis(5))
            .intensity(3);
        let pool = attach([&worker]).restart(restart).start().await.unwrap();
        worker.does(Act::Close);
        let waits = echo(&pool, 1);
        let error = within("an end", waits).await.unwrap().unwrap_err();
        // It may have been sent before the host noticed.
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::WorkerDied),
            "{error}"
        );
        until("the slot is degraded", || {
            pool.status().workers[0].state == WorkerState::Degraded
        })
        .await;
        let error = within("a refusal", pool.call::<_, u64>("echo", 2))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(worker.record().connections.len(), 4);
    });
}

#[test]
fn a_pool_that_loses_a_worker_for_good_before_the_others_are_ready_has_not_started() {
    scenario(async || {
        let retries = Restart::new().backoff(Duration::from_millis(5));
        let policies = [
            Restart::never(),
            retries.clone().intensity(0),
            retries.intensity(2),
        ];
        for policy in policies {
            let leaves = |hello: &Hello| {
                let [welcome] = welcomes(hello);
                [welcome, Act::Close.after(Duration::from_millis(5))]
            };
            let lost = FakeWorker::greeting(leaves, echoes);
            let late = FakeWorker::greeting(|_: &Hello| [], echoes);
            let start = attach([&lost, &late]).restart(policy).start();
            let error = within("an end of the start", start).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.fate()),
                (ErrorKind::Start, Fate::NotStarted)
            );
            assert_eq!(error.worker().unwrap().slot(), 0);
            let said = error.to_string();
            assert!(said.contains("closed its connection"), "{said}");
        }
    });
}

#[test]
fn one_slot_given_up_leaves_the_pool_to_the_others() {
    scenario(async || {
        let lost = FakeWorker::that(holds);
        let kept = FakeWorker::that(echoes);
        let pool = attach([&lost, &kept]).restart(false).start().await.unwrap();
        lost.does(Act::Close);
        until("it is given up", || {
            pool.status().workers[0].state == WorkerState::Failed
        })
        .await;
        for call in echo_all(&pool, 0..20) {
            within("an answer", call).await.unwrap().unwrap();
        }
    });
}

#[test]
fn fault_02_a_call_that_may_have_run_is_not_sent_again() {
    scenario(async || {
        let worker = FakeWorker::that(dies_at_first);
        let pool = attach([&worker]).start().await.unwrap();
        let error = within("an end", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::WorkerDied, Fate::MayHaveRun)
        );
        assert!(!error.is_retryable());
        let identity = error.worker().unwrap();
        assert_eq!((identity.slot(), identity.generation()), (0, 1));
        assert_eq!(worker.record().requests.len(), 1);
        assert_eq!(pool.status().counts.resent, 0);
    });
}

#[test]
fn what_an_interrupted_function_was_doing_is_the_source_of_its_error() {
    scenario(async || {
        let worker = FakeWorker::that(|request| {
            let Act::Fail { call, mut error } = request.refusal(Status::Interrupted, "enough")
            else {
                return Vec::new();
            };
            error.type_name = "pyproc.Interrupted".to_owned();
            error.traceback = Some("in classify".to_owned());
            vec![Act::Fail { call, error }]
        });
        let pool = attach([&worker]).start().await.unwrap();
        let error = within("an end", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::Failed)
        );
        let python = error.python().unwrap();
        assert_eq!(python.type_name(), "pyproc.Interrupted");
        assert_eq!(python.traceback(), Some("in classify"));
        assert_eq!(worker.record().connections.len(), 1, "it was not replaced");
    });
}

#[test]
fn an_idempotent_call_is_sent_again_when_its_worker_dies() {
    scenario(async || {
        let workers = FakeWorker::crew(2, dies_at_first);
        let pool = attach(&workers).poison_limit(3).start().await.unwrap();
        let call = pool.call::<_, u64>("echo", 1).idempotent();
        assert_eq!(within("an answer", call).await.unwrap(), 1);
        let sent: usize = workers
            .iter()
            .map(|worker| worker.record().requests.len())
            .sum();
        let counts = pool.status().counts;
        assert_eq!(counts.resent, sent as u64 - 1);
        assert_eq!((counts.returned, counts.failed), (1, 0));
        assert!((2..=3).contains(&sent), "sent {sent} times");
    });
}

#[test]
fn fault_14_a_call_that_kills_every_worker_ends_after_its_last_attempt() {
    scenario(async || {
        let workers = FakeWorker::crew(2, |_| [Act::Close]);
        let pool = attach(&workers).poison_limit(4).start().await.unwrap();
        let call = pool.call::<_, u64>("echo", 1).idempotent();
        let error = within("an end", call).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::WorkerDied, Fate::MayHaveRun)
        );
        let sent: usize = workers
            .iter()
            .map(|worker| worker.record().requests.len())
            .sum();
        assert_eq!((sent, pool.status().counts.resent), (4, 3));
    });
}

#[test]
fn a_call_that_was_not_sent_whole_moves_to_another_worker_unnoticed() {
    scenario(async || {
        let deafens = |hello: &Hello| {
            let [welcome] = welcomes(hello);
            match hello.slot {
                0 => vec![welcome, Act::StopReading],
                _ => vec![welcome],
            }
        };
        let deaf = FakeWorker::greeting(deafens, echoes);
        let sound = FakeWorker::greeting(deafens, echoes);
        let pool = attach([&deaf, &sound])
            .restart(false)
            .start()
            .await
            .unwrap();
        // More than the socket takes, so it cannot have been sent whole when the worker dies.
        let large = "x".repeat(512 * 1024);
        let call = pool.call::<_, String>("echo", &large);
        let death = async {
            until("it is in flight", || {
                pool.status().workers[0].in_flight == 1
            })
            .await;
            deaf.does(Act::Close);
        };
        let (answer, ()) = within("an answer", futures::future::join(call, death)).await;
        assert_eq!(answer.unwrap(), large);
        let counts = pool.status().counts;
        assert_eq!((counts.returned, counts.resent), (1, 0), "it was sent once");
    });
}

#[test]
fn a_worker_that_drains_gets_no_more_and_keeps_what_it_has() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match (request.connection, request.number()) {
            (1, 1) => vec![Act::Drain],
            // What crosses the drain on its way is refused.
            (1, _) => vec![request.refusal(Status::Draining, "draining")],
            _ => vec![request.echo()],
        });
        let pool = attach([&worker])
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let first = echo(&pool, 1);
        let held = worker.call(1).await;
        let second = echo(&pool, 2);
        until("the second call waits", || pool.status().waiting == 1).await;
        assert_eq!(pool.status().in_flight, 1);
        held.answer();
        assert_eq!(within("the answer", first).await.unwrap().unwrap(), 1);
        held.then(Act::Close);
        assert_eq!(within("the answer", second).await.unwrap().unwrap(), 2);
        assert_eq!(pool.status().counts.resent, 0);
    });
}

#[test]
fn a_worker_that_drains_and_then_stays_is_replaced() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker])
            .stop_timeout(Duration::from_millis(200))
            .start()
            .await
            .unwrap();
        let call = echo(&pool, 1);
        let held = worker.call(1).await;
        worker.does(Act::Drain);
        until("it drains", || {
            pool.status().workers[0].state == WorkerState::Draining
        })
        .await;
        let begin = Instant::now();
        until("it would have been replaced", || {
            begin.elapsed() > Duration::from_millis(400)
        })
        .await;
        assert_eq!(worker.record().connections.len(), 1, "it has a call");
        held.answer();
        assert_eq!(within("the answer", call).await.unwrap().unwrap(), 1);
        worker
            .until("it is replaced", |record| record.connections.len() == 2)
            .await;
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(failure.contains("did not exit"), "{failure}");
    });
}

#[test]
fn a_call_that_a_draining_worker_refuses_moves_on_unnoticed() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => {
                let refusal = request.refusal(Status::Draining, "draining");
                vec![Act::Drain, refusal, Act::Close]
            }
            _ => vec![request.echo()],
        });
        let pool = attach([&worker]).start().await.unwrap();
        let answer: u64 = within("an answer", pool.call("echo", 1)).await.unwrap();
        assert_eq!(answer, 1);
        assert_eq!(worker.record().requests.len(), 2);
    });
}

#[test]
fn a_worker_that_says_goodbye_is_replaced_though_it_does_not_hang_up() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => [Act::Goodbye],
            _ => [request.echo()],
        });
        let pool = attach([&worker]).start().await.unwrap();
        // It says so when it has answered all that it has taken, so the call is moved without having to be idempotent.
        let call = pool.call::<_, u64>("echo", 1);
        assert_eq!(within("an answer", call).await.unwrap(), 1);
        assert_eq!(pool.status().counts.resent, 0);
    });
}

#[test]
fn fault_07_a_worker_that_is_still_busy_long_after_the_deadline_is_replaced() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => None,
            _ => Some(request.echo()),
        });
        let pool = attach([&worker])
            .overdue_after(Duration::from_millis(30))
            .start()
            .await
            .unwrap();
        let call = pool
            .call::<_, u64>("echo", 1)
            .deadline(Duration::from_millis(150));
        let error = within("the deadline", call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        let answer: u64 = within("an answer", pool.call("echo", 2)).await.unwrap();
        assert_eq!((answer, worker.record().connections.len()), (2, 2));
    });
}

#[test]
fn a_worker_is_not_blamed_for_a_call_that_waits_behind_a_long_one() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker])
            .max_in_flight_per_worker(2)
            .overdue_after(Duration::from_millis(30))
            .start()
            .await
            .unwrap();
        let long = echo(&pool, 1);
        let held = worker.call(1).await;
        let short = pool
            .call::<_, u64>("echo", 2)
            .deadline(Duration::from_millis(50));
        let begin = Instant::now();
        let error = within("the deadline", short).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        until("it would have been overdue long ago", || {
            begin.elapsed() > Duration::from_millis(300)
        })
        .await;
        held.answer();
        assert_eq!(within("the answer", long).await.unwrap().unwrap(), 1);
        worker.call(2).await.answer();
        let next = echo(&pool, 3);
        worker.call(3).await.answer();
        assert_eq!(within("an answer", next).await.unwrap().unwrap(), 3);
        assert_eq!(worker.record().connections.len(), 1, "it was not replaced");
    });
}

#[test]
fn a_worker_whose_caller_has_gone_is_replaced_all_the_same_when_it_is_stuck() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => None,
            _ => Some(request.echo()),
        });
        let pool = attach([&worker])
            .deadline(Duration::from_millis(300))
            .overdue_after(Duration::from_millis(30))
            .start()
            .await
            .unwrap();
        let call = echo(&pool, 1);
        worker.call(1).await;
        call.abort();
        let answer = pool
            .call::<_, u64>("echo", 2)
            .deadline(Duration::from_secs(15));
        assert_eq!(within("an answer", answer).await.unwrap(), 2);
    });
}

#[test]
fn an_idle_worker_whose_health_fails_is_replaced() {
    let ills: [fn(&Request) -> Option<Act>; 2] =
        [|request| Some(request.exception("Sick", "fever")), |_| None];
    for (ill, expected) in ills
        .into_iter()
        .zip(["Sick: fever", "did not answer within 400ms"])
    {
        scenario(async || {
            let worker = FakeWorker::that(echoes);
            let pool = attach([&worker])
                .health_interval(Duration::from_millis(5))
                .health_timeout(Duration::from_millis(400))
                .start()
                .await
                .unwrap();
            worker
                .until("it is asked", |record| record.health_checks > 2)
                .await;
            assert_eq!(worker.record().connections.len(), 1, "it is well");
            worker.answers_health_so(ill);
            worker
                .until("it is replaced", |record| record.connections.len() >= 2)
                .await;
            worker.answers_health_so(echoes);
            let failure = pool.status().workers[0].last_failure.clone().unwrap();
            assert!(failure.contains(expected), "{failure}");
            let call = pool.call::<_, u64>("echo", 1).idempotent();
            assert_eq!(within("an answer", call).await.unwrap(), 1);
        });
    }
}

#[test]
fn a_busy_worker_is_not_asked_for_its_health() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker])
            .health_interval(Duration::from_millis(1))
            .start()
            .await
            .unwrap();
        let call = echo(&pool, 1);
        let held = worker.call(1).await;
        let asked = worker.record().health_checks;
        let begin = Instant::now();
        until("some intervals pass", || {
            begin.elapsed() > Duration::from_millis(30)
        })
        .await;
        assert_eq!(worker.record().health_checks, asked);
        held.answer();
        assert_eq!(within("the answer", call).await.unwrap().unwrap(), 1);
        worker
            .until("it is asked again", |record| record.health_checks > asked)
            .await;
    });
}

#[test]
fn fault_71_all_workers_at_once_are_lost_and_come_back() {
    scenario(async || {
        let workers = FakeWorker::crew(4, echoes);
        // A call may meet each of them before the host hears of their deaths.
        let pool = attach(&workers).poison_limit(5).start().await.unwrap();
        workers.iter().for_each(|worker| worker.does(Act::Close));
        for call in 0..40 {
            let call = pool.call::<_, u64>("echo", call).idempotent();
            within("an answer", call).await.unwrap();
        }
        until("all are back", || {
            let workers = pool.status().workers;
            workers
                .iter()
                .all(|worker| worker.state == WorkerState::Ready && worker.generation >= 2)
        })
        .await;
    });
}

#[test]
fn durations_without_end_are_no_reason_to_panic() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let forever = Duration::MAX;
        let pool = attach([&worker])
            .deadline(forever)
            .start_timeout(forever)
            .progress_timeout(forever)
            .overdue_after(forever)
            .health_interval(Duration::from_millis(1))
            .health_timeout(forever)
            .shutdown_timeout(forever)
            .stop_timeout(forever)
            .start()
            .await
            .unwrap();
        worker
            .until("its health", |record| record.health_checks > 0)
            .await;
        let answer: u64 = within("an answer", pool.call("echo", 1)).await.unwrap();
        assert_eq!(answer, 1);
        within("the end", pool.shutdown()).await.unwrap();
    });
}

/// Whoever is greeted after the first was too late.
fn gone_after_the_first(hello: &Hello) -> [Act; 1] {
    match hello.generation {
        1 => welcomes(hello),
        _ => [Act::Close],
    }
}

#[test]
fn whoever_attaches_to_workers_cannot_renew_them() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let recycle = Recycle::new().after_calls(5);
        let error = attach([&worker])
            .recycle(recycle)
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let pool = attach([&worker]).start().await.unwrap();
        for error in [pool.restart().await, pool.resize(2).await] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("somebody else"), "{error}");
        }
        let answer: u64 = within("an answer", pool.call("echo", 1)).await.unwrap();
        assert_eq!(answer, 1);
    });
}
