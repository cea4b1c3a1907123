//! The end of a pool, in good order and otherwise.

use std::time::Duration;

use futures::future::{join, join3};
use pyproc_runtime::{Error, ErrorKind, Fate, Restart, Result, WorkerState};

use crate::support::{
    Act, FakeWorker, attach, echo, echo_all, echoes, holds, scenario, shutdown_steps, until, within,
};

#[test]
fn the_five_steps_are_taken_in_order_and_what_was_accepted_is_finished() {
    scenario(async || {
        let name = unique_name("ordered");
        let workers = FakeWorker::crew(2, holds);
        let pool = attach(&workers).name(&name).start().await.unwrap();
        let calls = echo_all(&pool, 0..3);
        until("one waits", || pool.status().waiting == 1).await;
        assert!(shutdown_steps(&name).is_empty());

        let end = tokio::spawn({
            let pool = pool.clone();
            async move { pool.shutdown().await }
        });
        until("it waits for the calls", || shutdown_steps(&name) == [1, 2]).await;
        let error = within("a refusal", pool.call::<_, u64>("echo", 9))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Closed, Fate::NotStarted)
        );
        assert!(!end.is_finished());
        assert_eq!(workers[0].record().drained + workers[1].record().drained, 0);

        workers.iter().for_each(FakeWorker::answers_from_now_on);
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(
                within("an answer", call).await.unwrap().unwrap(),
                number as u64
            );
        }
        let report = within("the end", end).await.unwrap().unwrap();
        assert_eq!((report.finished, report.cut), (3, 0));
        assert_eq!(shutdown_steps(&name), [1, 2, 3, 4, 5]);
        for worker in &workers {
            worker
                .until("its connection is closed", |record| record.ended == 1)
                .await;
            assert_eq!(worker.record().drained, 1);
        }
        let states = pool.status().workers.into_iter().map(|worker| worker.state);
        assert!(
            states
                .into_iter()
                .all(|state| state == WorkerState::Stopped)
        );
    });
}

#[test]
fn what_is_past_the_timeout_ends_as_closed() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker])
            .shutdown_timeout(Duration::from_millis(50))
            .start()
            .await
            .unwrap();
        let running = echo(&pool, 1);
        worker.call(1).await;
        let waiting = echo_all(&pool, 2..5);
        until("they wait", || pool.status().waiting == 3).await;

        let report = within("the end", pool.shutdown()).await.unwrap();
        assert_eq!((report.finished, report.cut), (0, 4));
        let error = within("an end", running).await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Closed, Fate::MayHaveRun)
        );
        for call in waiting {
            let error = within("an end", call).await.unwrap().unwrap_err();
            assert_eq!(
                (error.kind(), error.fate()),
                (ErrorKind::Closed, Fate::NotStarted)
            );
        }
        assert_eq!(worker.record().requests.len(), 1);
    });
}

#[test]
fn a_shutdown_may_be_asked_for_as_often_as_one_likes() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        within("an answer", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap();
        let all = join3(pool.shutdown(), pool.shutdown(), pool.shutdown());
        let (first, second, third) = within("the end", all).await;
        let first = first.unwrap();
        assert_eq!((second.unwrap(), third.unwrap()), (first, first));
        assert_eq!(within("the end", pool.shutdown()).await.unwrap(), first);
        let error = within("a refusal", pool.call::<_, u64>("echo", 2))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!((pool.status().in_flight, pool.status().waiting), (0, 0));
    });
}

#[test]
fn a_shutdown_goes_on_when_nobody_waits_for_it() {
    scenario(async || {
        let name = unique_name("unattended");
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).name(&name).start().await.unwrap();
        let _ = futures::poll!(Box::pin(pool.shutdown()));
        until("its last step", || shutdown_steps(&name).last() == Some(&5)).await;
    });
}

#[test]
fn who_waits_for_a_worker_to_come_back_is_not_kept_waiting_by_a_shutdown() {
    scenario(async || {
        let hour = Duration::from_secs(3600);
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker])
            .restart(Restart::new().backoff(hour).max_backoff(hour))
            .shutdown_timeout(hour)
            .start()
            .await
            .unwrap();
        // The first one is replaced at once.
        worker.does(Act::Close);
        until("its replacement is ready", || {
            let slot = &pool.status().workers[0];
            slot.state == WorkerState::Ready && slot.generation == 2
        })
        .await;
        worker.does(Act::Close);
        until("the worker is lost", || {
            pool.status().workers[0].state == WorkerState::Restarting
        })
        .await;
        let call = echo(&pool, 1);
        until("it waits", || pool.status().waiting == 1).await;
        let report = within("the end", pool.shutdown()).await.unwrap();
        assert_eq!((report.finished, report.cut), (0, 1));
        assert_closed(within("an end", call).await.unwrap(), Fate::NotStarted);
    });
}

#[test]
fn a_worker_that_dies_in_a_shutdown_is_not_replaced_and_those_behind_it_are_told() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let name = unique_name("dying");
        let pool = attach([&worker]).name(&name).start().await.unwrap();
        let running = echo(&pool, 1);
        let held = worker.call(1).await;
        let waiting = echo(&pool, 2);
        until("it waits", || pool.status().waiting == 1).await;
        let death = async {
            until("it waits for the calls", || shutdown_steps(&name) == [1, 2]).await;
            held.then(Act::Close);
        };
        let (report, ()) = within("the end", join(pool.shutdown(), death)).await;
        let report = report.unwrap();
        assert_eq!((report.finished, report.cut), (1, 1));
        let error = within("an end", running).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied);
        assert_closed(within("an end", waiting).await.unwrap(), Fate::NotStarted);
        assert_eq!(worker.record().connections.len(), 1);
    });
}

#[test]
fn a_call_that_comes_back_in_a_shutdown_is_finished_by_another_worker() {
    scenario(async || {
        let workers = FakeWorker::crew(2, holds);
        let name = unique_name("moving");
        let pool = attach(&workers).name(&name).start().await.unwrap();
        let moved = tokio::spawn({
            let pool = pool.clone();
            async move { pool.call::<_, u64>("echo", 1).idempotent().await }
        });
        let lost = workers[0].call(1).await;
        let kept = echo(&pool, 2);
        let held = workers[1].call(1).await;
        let events = async {
            until("it waits for the calls", || shutdown_steps(&name) == [1, 2]).await;
            lost.then(Act::Close);
            until("the call has come back", || pool.status().waiting == 1).await;
            held.answer();
            workers[1].call(2).await.answer();
        };
        let (report, ()) = within("the end", join(pool.shutdown(), events)).await;
        assert_eq!((report.unwrap().cut, shutdown_steps(&name).len()), (0, 5));
        assert_eq!(within("an answer", kept).await.unwrap().unwrap(), 2);
        assert_eq!(within("an answer", moved).await.unwrap().unwrap(), 1);
    });
}

#[test]
fn fault_73_a_call_that_races_the_shutdown_is_finished_or_closed() {
    scenario(async || {
        let workers = FakeWorker::crew(2, echoes);
        let pool = attach(&workers).start().await.unwrap();
        let calls = echo_all(&pool, 0..200);
        let report = within("the end", pool.shutdown()).await.unwrap();
        assert_eq!(report.cut, 0);
        for (number, call) in calls.into_iter().enumerate() {
            match within("an end", call).await.unwrap() {
                Ok(answer) => assert_eq!(answer, number as u64),
                result => assert_closed(result, Fate::NotStarted),
            }
        }
    });
}

#[test]
fn a_pool_whose_handles_are_all_dropped_lets_its_workers_go() {
    scenario(async || {
        let workers = FakeWorker::crew(2, holds);
        let pool = attach(&workers).start().await.unwrap();
        let other = pool.clone();
        drop(pool);
        let call = echo(&other, 1);
        workers[0].call(1).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        drop(other);
        for worker in &workers {
            worker
                .until("its connection is closed", |record| record.ended == 1)
                .await;
            assert_eq!(worker.record().drained, 1);
        }
    });
}

#[test]
fn an_outcome_that_nobody_fetches_does_not_keep_a_connection_open() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker])
            .shutdown_timeout(Duration::ZERO)
            .start()
            .await
            .unwrap();
        let mut call = Box::pin(pool.call::<_, u64>("echo", 1));
        assert!(futures::poll!(&mut call).is_pending());
        worker.call(1).await;
        within("the end", pool.shutdown()).await.unwrap();
        worker
            .until("its connection is closed", |record| record.ended == 1)
            .await;
        assert_closed(call.await, Fate::MayHaveRun);
    });
}

fn assert_closed<T: std::fmt::Debug>(result: Result<T, Error>, fate: Fate) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.fate()),
        (ErrorKind::Closed, fate),
        "{error}"
    );
}

/// The steps are told by the pool's name, and every scenario is played more than once.
fn unique_name(stem: &str) -> String {
    format!("{stem}-{}", fastrand::u64(..))
}
