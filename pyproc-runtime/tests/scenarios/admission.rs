//! Who may have a call in flight, and who waits, who is refused, and who never gets to a worker.

use std::time::Duration;

use pyproc_runtime::{ErrorKind, Fate, RetryBudget};

use crate::support::{FakeWorker, attach, echo, echo_all, holds, scenario, until, within};

#[test]
fn no_more_calls_run_than_the_workers_have_room_for() {
    scenario(async || {
        let workers = FakeWorker::crew(4, holds);
        let pool = attach(&workers)
            .max_in_flight(10)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let calls = echo_all(&pool, 0..40);
        until("the workers are busy and the rest waits", || {
            pool.status().waiting == 36 && workers[0].gauge().now() == 4
        })
        .await;
        let status = pool.status();
        assert_eq!(status.in_flight, 4);
        assert!(status.workers.iter().all(|worker| worker.in_flight == 1));

        // Whenever one is answered, one follows it.
        for worker in &workers {
            worker.answers_from_now_on();
        }
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(
                within("an answer", call).await.unwrap().unwrap(),
                number as u64
            );
        }
        assert_eq!(workers[0].gauge().peak(), 4);
    });
}

#[test]
fn the_pool_as_a_whole_takes_no_more_than_it_is_allowed() {
    scenario(async || {
        let workers = FakeWorker::crew(4, |request| {
            [request
                .echo()
                .after(Duration::from_millis(request.number() % 3))]
        });
        let pool = attach(&workers)
            .max_in_flight(5)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        for call in echo_all(&pool, 0..300) {
            within("an answer", call).await.unwrap().unwrap();
        }
        let peak = workers[0].gauge().peak();
        assert!((2..=5).contains(&peak), "{peak} calls at once");
    });
}

#[test]
fn fault_68_a_full_line_refuses_at_once_and_exactly_those_beyond_it() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).max_waiting(3).start().await.unwrap();
        let calls = echo_all(&pool, 0..20);
        let refused = until("those beyond the line are refused", || {
            pool.status().counts.overloaded == 16
        });
        refused.await;
        let status = pool.status();
        assert_eq!(
            (status.in_flight, status.waiting, status.counts.failed),
            (1, 3, 16)
        );

        for number in 1..=4 {
            worker.call(number).await.answer();
        }
        let mut answered = 0;
        for call in calls {
            match within("an end", call).await.unwrap() {
                Ok(_) => answered += 1,
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.fate()),
                        (ErrorKind::Overloaded, Fate::NotStarted)
                    );
                    assert!(error.is_retryable());
                    assert!(
                        error.to_string().contains("1 calls in flight, 3 waiting"),
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(answered, 4);
    });
}

#[test]
fn without_a_line_only_the_worker_s_own_call_is_accepted() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).max_waiting(0).start().await.unwrap();
        let first = echo(&pool, 1);
        let held = worker.call(1).await;
        let error = within("a refusal", pool.call::<_, u64>("echo", 2))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        held.answer();
        assert_eq!(within("the answer", first).await.unwrap().unwrap(), 1);
    });
}

#[test]
fn fault_69_a_call_whose_deadline_passes_in_the_line_is_never_sent() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let first = echo(&pool, 1);
        let held = worker.call(1).await;
        let hasty = pool
            .call::<_, u64>("echo", 2)
            .deadline(Duration::from_millis(20));
        let error = within("the deadline", hasty).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::NotStarted)
        );
        assert_eq!(pool.status().waiting, 0);

        let third = echo(&pool, 3);
        held.answer();
        worker.call(2).await.answer();
        assert_eq!(within("the answer", first).await.unwrap().unwrap(), 1);
        assert_eq!(within("the answer", third).await.unwrap().unwrap(), 3);
        let numbers: Vec<u64> = worker
            .record()
            .requests
            .iter()
            .map(|request| request.number())
            .collect();
        assert_eq!(numbers, [1, 3]);
    });
}

#[test]
fn a_deadline_that_has_passed_already_is_a_deadline_and_nothing_is_sent() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let call = pool.call::<_, u64>("echo", 1).deadline(Duration::ZERO);
        let error = within("the deadline", call).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::NotStarted),
            "{error}"
        );
        assert_eq!(pool.status().in_flight, 0);
        assert_eq!(worker.record().requests.len(), 0);
    });
}

#[test]
fn the_worker_learns_what_remains_of_a_deadline() {
    scenario(async || {
        let worker = FakeWorker::that(crate::support::echoes);
        let pool = attach([&worker]).no_deadline().start().await.unwrap();
        let call = pool
            .call::<_, u64>("echo", 1)
            .deadline(Duration::from_secs(9));
        within("the answer", call).await.unwrap();
        within("the answer", pool.call::<_, u64>("echo", 2))
            .await
            .unwrap();
        let remaining = worker.call(1).await.deadline_us.unwrap();
        assert!(
            (8_000_000..=9_000_000).contains(&remaining),
            "{remaining} us"
        );
        assert_eq!(worker.call(2).await.deadline_us, None);
    });
}

#[test]
fn fault_70_a_call_dropped_in_the_line_is_never_sent() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let first = echo(&pool, 1);
        let held = worker.call(1).await;
        let dropped = echo_all(&pool, 2..5);
        until("they wait", || pool.status().waiting == 3).await;
        for call in dropped {
            call.abort();
            assert!(call.await.unwrap_err().is_cancelled());
        }
        assert_eq!(
            (pool.status().waiting, pool.status().counts.cancelled),
            (0, 3)
        );

        let last = echo(&pool, 5);
        held.answer();
        worker.call(2).await.answer();
        assert_eq!(within("the answer", first).await.unwrap().unwrap(), 1);
        assert_eq!(within("the answer", last).await.unwrap().unwrap(), 5);
        assert_eq!(worker.record().requests.len(), 2);
        assert!(worker.record().cancelled.is_empty());
    });
}

#[test]
fn fault_70_a_call_dropped_in_flight_occupies_its_worker_until_that_has_answered() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let dropped = echo(&pool, 1);
        let held = worker.call(1).await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        assert_eq!(pool.status().counts.cancelled, 1);
        worker
            .until("the worker hears of it", |record| record.cancelled == [1])
            .await;
        let next = echo(&pool, 2);
        until("the next call waits", || pool.status().waiting == 1).await;
        assert_eq!(pool.status().in_flight, 1, "the worker is not free yet");
        assert_eq!(worker.record().requests.len(), 1);

        held.then(held.refusal(pyproc_proto::Status::Cancelled, "skipped"));
        worker.call(2).await.answer();
        assert_eq!(within("the answer", next).await.unwrap().unwrap(), 2);
        until("nothing is in flight", || pool.status().in_flight == 0).await;
    });
}

#[test]
fn the_line_is_first_come_first_served() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let mut calls = Vec::new();
        for number in 0..8_usize {
            calls.push(echo(&pool, number as u64));
            until("it has its place", || {
                let status = pool.status();
                status.in_flight + status.waiting == number + 1
            })
            .await;
        }
        for number in 0..8 {
            let request = worker.call(number + 1).await;
            assert_eq!(request.number(), number as u64);
            request.answer();
        }
        for call in calls {
            within("the answer", call).await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_function_that_nobody_has_is_refused_with_the_nearest_name() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let error = within("a refusal", pool.call::<_, u64>("clasify", 1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::FunctionNotFound, Fate::NotStarted)
        );
        assert!(
            error.to_string().contains("did you mean `classify`?"),
            "{error}"
        );
        assert_eq!(
            (pool.status().in_flight, worker.record().requests.len()),
            (0, 0)
        );
    });
}

#[test]
fn what_no_worker_could_be_sent_makes_none_look_quick() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).max_waiting(40).start().await.unwrap();
        for _ in 0..2000 {
            let error = pool.call::<_, u64>("clasify", 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FunctionNotFound);
        }
        let calls = echo_all(&pool, 0..40);
        until("all have asked for their place", || {
            let status = pool.status();
            status.in_flight + status.waiting == 40
        })
        .await;
        assert_eq!(pool.status().in_flight, 1);
        worker.answers_from_now_on();
        for call in calls {
            within("an answer", call).await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_call_that_was_given_up_lets_another_one_be_tried_again() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        // As many as there were calls, and none besides.
        let budget = RetryBudget::new().ratio(1.0).per_second(0);
        let pool = attach([&worker]).max_waiting(0).retry_budget(budget);
        let pool = pool.start().await.unwrap();
        let given_up = echo(&pool, 1);
        worker.call(1).await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        let call = pool.call::<_, u64>("echo", 2).retry(2);
        let error = within("a refusal", call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(pool.status().counts.retried, 1);
    });
}
