//! Streams: from a generator in a worker process to whoever reads its items.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use pyproc::{BoxStream, ErrorKind, Fate, ItemStream, Json, Pool, PoolBuilder, Protocol, Stream};
use serde_json::{Value, json};
use support::{
    Paths, Peaks, assert_error, assert_never_replaced, kill, nothing_in_flight, pid_of, scenario,
    until,
};

fn workers(count: usize) -> PoolBuilder {
    support::pool("streams.py").workers(count)
}

fn count(pool: &Pool, items: u64) -> ItemStream<'_, pyproc::DefaultCodec, u64, u64> {
    pool.stream("count", items)
}

#[test]
fn items_come_in_order_and_then_the_end() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for items in [0, 1, 3, 20_000] {
            let mut stream = count(&pool, items);
            for number in 0..items {
                assert_eq!(stream.next().await.unwrap().unwrap(), number);
            }
            assert!(stream.next().await.is_none());
            assert!(stream.next().await.is_none());
        }
        let counts = pool.status().counts;
        assert_eq!((counts.returned, counts.failed), (4, 0));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_reader_may_call_the_only_worker_for_each_item() {
    // Once with a generator and a plain function, and once with async ones.
    for script in ["streams.py", "async_functions.py"] {
        scenario(async {
            let pool = support::pool(script)
                .workers(1)
                .max_in_flight_per_worker(1)
                .stream_window(20)
                .start()
                .await
                .unwrap();
            let mut stream = count(&pool, 200);
            while let Some(number) = stream.next().await {
                let number = number.unwrap();
                let doubled: u64 = pool.call("double", number).await.unwrap();
                assert_eq!(doubled, 2 * number);
            }
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn many_streams_of_one_worker_are_read_at_once() {
    scenario(async {
        let pool = workers(1).stream_window(64).start().await.unwrap();
        let read = (0..50).map(|_| async {
            let numbers: Vec<_> = count(&pool, 300).map(Result::unwrap).collect().await;
            assert!(numbers.into_iter().eq(0..300));
        });
        futures::future::join_all(read).await;
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_slow_reader_makes_the_generator_pause() {
    scenario(async {
        let pool = workers(1).stream_window(10_000).start().await.unwrap();
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("tidy", paths.path("log"));
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        // It would yield for ever. But it has credit for the window, and for the half of it that is granted anew.
        for number in 0..100 {
            let doubled: u64 = pool.call("double", number).await.unwrap();
            assert_eq!(doubled, 2 * number);
        }
        drop(stream);
        until("it was closed", || !paths.text("log").is_empty()).await;
        let text = paths.text("log");
        let yielded: usize = text.trim().rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!(yielded <= 2 * 10_000 / 17, "{yielded}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_37_a_slow_reader_of_a_million_items_costs_neither_side_memory() {
    scenario(async {
        const LIMIT: u64 = 16 * 1024 * 1024;
        let pool = workers(1).start().await.unwrap();
        let mut stream = pool.stream::<_, String>("blobs", json!({"n": 1_000_000, "size": 64}));
        assert_eq!(stream.next().await.unwrap().unwrap().len(), 64);
        let peaks = Peaks::of([std::process::id(), pid_of(&pool, 0)]);
        let mut items = 1;
        while let Some(item) = stream.next().await {
            assert_eq!(item.unwrap().len(), 64);
            items += 1;
            if items % 10_000 == 0 {
                // Whatever may come meanwhile has the time to come.
                let doubled: u64 = pool.call("double", items).await.unwrap();
                assert_eq!(doubled, 2 * items);
            }
        }
        assert_eq!(items, 1_000_000);
        peaks.assert_grown_by_at_most(LIMIT);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn dropping_a_stream_closes_its_generator_and_frees_its_worker() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        for round in 1..=20 {
            let mut stream = pool.stream::<_, u64>("tidy", paths.path("log"));
            for number in 0..round {
                assert_eq!(stream.next().await.unwrap().unwrap(), number);
            }
            drop(stream);
            until("it was closed", || {
                paths.text("log").lines().count() == usize::try_from(round).unwrap()
            })
            .await;
        }
        nothing_in_flight(&pool).await;
        assert_eq!(pool.status().counts.cancelled, 20);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_exception_comes_after_the_items_before_it_and_ends_the_stream() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        // None, a few, those of several frames, and more than the window holds.
        for items in [0, 3, 1_000, 30_000] {
            let mut stream = pool.stream::<_, u64>("fail_after", items);
            for number in 0..items {
                assert_eq!(stream.next().await.unwrap().unwrap(), number);
            }
            let error = stream.next().await.unwrap().unwrap_err();
            assert_error(
                &error,
                ErrorKind::Exception,
                Fate::Failed,
                &["ValueError: no more"],
            );
            assert!(stream.next().await.is_none());
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_item_of_another_type_ends_the_stream() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let mut stream = pool.stream::<_, String>("count", 3);
        let error = stream.next().await.unwrap().unwrap_err();
        assert_error(&error, ErrorKind::Codec, Fate::Failed, &["count"]);
        assert!(stream.next().await.is_none());
        drop(stream);
        nothing_in_flight(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_item_that_cannot_be_sent_or_is_too_long_ends_the_stream_and_closes_the_generator() {
    const GIVE: &str = r#"
@expose
def give(is_long: bool, log: str):
    try:
        yield 1
        yield "x" * 100_000 if is_long else object()
        yield 3
    finally:
        with open(log, "w") as file:
            file.write("closed")
"#;
    let give_async = GIVE.replace("def", "async def");
    for source in [GIVE, &give_async] {
        scenario(async {
            let pool = support::pool_of(source).workers(1).max_frame(65_536);
            let pool = pool.start().await.unwrap();
            for (is_long, kind, culprit) in [
                (false, ErrorKind::InvalidResult, "object"),
                (true, ErrorKind::TooLarge, "65536"),
            ] {
                let paths = Paths::new();
                let argument = json!({"is_long": is_long, "log": paths.path("log")});
                let mut stream = pool.stream::<_, Value>("give", argument);
                assert_eq!(stream.next().await.unwrap().unwrap(), 1);
                let error = stream.next().await.unwrap().unwrap_err();
                assert_error(&error, kind, Fate::Failed, &["`give`", culprit]);
                assert!(stream.next().await.is_none());
                until("it was closed", || paths.text("log") == "closed").await;
            }
            assert_never_replaced(&pool);
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn a_worker_that_is_killed_in_mid_stream_ends_it_after_what_has_arrived() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let paths = Paths::new();
        let mut stream = pool
            .stream::<_, u64>("pid_and_wait", paths.path("gate"))
            .idempotent();
        let pid = stream.next().await.unwrap().unwrap();
        kill(u32::try_from(pid).unwrap());
        let error = stream.next().await.unwrap().unwrap_err();
        assert_error(
            &error,
            ErrorKind::WorkerDied,
            Fate::MayHaveRun,
            &["SIGKILL"],
        );
        assert!(stream.next().await.is_none());
        assert_eq!(pool.status().counts.resent, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_is_killed_while_items_flow_ends_the_stream_after_a_row_without_gaps() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for killed_at in [1, 500, 10_000] {
            let mut stream = count(&pool, 100_000_000);
            let mut expected = 0;
            let error = loop {
                match stream.next().await.unwrap() {
                    Ok(number) => assert_eq!(number, expected),
                    Err(error) => break error,
                }
                expected += 1;
                if expected == killed_at {
                    kill(pid_of(&pool, 0));
                }
            };
            assert!(expected >= killed_at);
            assert_error(
                &error,
                ErrorKind::WorkerDied,
                Fate::MayHaveRun,
                &["SIGKILL"],
            );
            assert!(stream.next().await.is_none());
            let doubled: u64 = pool.call("double", 21).await.unwrap();
            assert_eq!(doubled, 42);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_stream_that_has_not_begun_moves_when_its_worker_dies() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let mut first = pool.stream::<_, u64>("pid_and_wait", paths.path("gate"));
        let pid = first.next().await.unwrap().unwrap();
        // The worker is within the first one, and has this one in its queue.
        let mut second = count(&pool, 3);
        drop(support::begun(StreamExt::next(&mut second)));
        kill(u32::try_from(pid).unwrap());
        assert!(first.next().await.unwrap().is_err());
        let numbers: Vec<_> = second.map(Result::unwrap).collect().await;
        assert_eq!(numbers, [0, 1, 2]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_deadline_ends_a_stream_wherever_it_is() {
    scenario(async {
        let pool = workers(1).stream_window(10).start().await.unwrap();
        let brief = Duration::from_millis(100);
        // It computes, and is interrupted; or waits for its reader, and is closed.
        let paths = Paths::new();
        let mut stuck = pool
            .stream::<_, u64>("stuck_after_one", json!({}))
            .deadline(brief);
        assert_eq!(stuck.next().await.unwrap().unwrap(), 1);
        let error = stuck.next().await.unwrap().unwrap_err();
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
        assert!(stuck.next().await.is_none());
        let mut unread = pool
            .stream::<_, u64>("tidy", paths.path("log"))
            .deadline(brief);
        assert_eq!(unread.next().await.unwrap().unwrap(), 0);
        until("it was closed", || !paths.text("log").is_empty()).await;
        let mut last = Ok(0);
        while let Some(item) = unread.next().await {
            last = item;
        }
        assert_error(
            &last.unwrap_err(),
            ErrorKind::Deadline,
            Fate::MayHaveRun,
            &[],
        );
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        support::assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_value_and_a_stream_are_not_taken_for_each_other() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let error = pool.call::<_, Value>("count", 3).await.unwrap_err();
        let culprit = "yields a stream";
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["count", culprit],
        );
        let mut stream = pool.stream::<_, u64>("double", 3);
        let error = stream.next().await.unwrap().unwrap_err();
        let culprit = "does not yield a stream";
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["double", culprit],
        );
        assert!(stream.next().await.is_none());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_pool_that_speaks_the_json_protocol_says_that_it_has_no_streams() {
    scenario(async {
        let pool = workers(1)
            .listen()
            .protocol(Protocol::Json)
            .codec(Json)
            .start()
            .await
            .unwrap();
        let mut stream = pool.stream::<_, u64>("count", 3);
        let error = stream.next().await.unwrap().unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["count", "the JSON protocol has no streams"],
        );
        assert!(stream.next().await.is_none());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_shutdown_waits_for_streams_and_cuts_those_that_nobody_reads() {
    scenario(async {
        let pool = workers(1)
            .stream_window(100)
            .shutdown_timeout(Duration::from_secs(30))
            .start()
            .await
            .unwrap();
        let mut stream = count(&pool, 100);
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        let (rest, report) = futures::join!(
            stream.map(Result::unwrap).collect::<Vec<_>>(),
            pool.shutdown()
        );
        assert!(rest.into_iter().eq(1..100));
        assert_eq!(report.unwrap().cut, 0);

        let pool = workers(1)
            .stream_window(100)
            .shutdown_timeout(Duration::from_millis(200))
            .start()
            .await
            .unwrap();
        let mut unread = count(&pool, 100);
        assert_eq!(unread.next().await.unwrap().unwrap(), 0);
        assert_eq!(pool.shutdown().await.unwrap().cut, 1);
        let mut last = Ok(0);
        while let Some(item) = unread.next().await {
            last = item;
        }
        assert_error(&last.unwrap_err(), ErrorKind::Closed, Fate::MayHaveRun, &[]);
    });
}

#[test]
fn a_large_item_may_be_longer_than_the_window() {
    scenario(async {
        let pool = workers(1).stream_window(1000).start().await.unwrap();
        let argument = json!({"n": 5, "size": 1_000_000});
        let blobs: Vec<String> = pool
            .stream("blobs", argument)
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(blobs.len(), 5);
        assert!(blobs.iter().all(|blob| blob.len() == 1_000_000));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_rolling_restart_waits_for_streams_and_loses_none() {
    scenario(async {
        let pool = workers(1).stream_window(100).start().await.unwrap();
        let before = pid_of(&pool, 0);
        let mut stream = count(&pool, 50);
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        let (rest, restarted) = futures::join!(
            async {
                until("its successor is there", || pid_of(&pool, 0) != before).await;
                stream.map(Result::unwrap).collect::<Vec<_>>().await
            },
            pool.restart(),
        );
        restarted.unwrap();
        assert!(rest.into_iter().eq(1..50));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_reads_a_stream_as_an_iterator() {
    support::scenario_without_runtime(|| {
        let pool = workers(1).start_blocking().unwrap();
        let numbers: Vec<u64> = pool.stream("count", 1000).map(Result::unwrap).collect();
        assert!(numbers.into_iter().eq(0..1000));
        let paths = Paths::new();
        let some: Vec<u64> = pool
            .stream("tidy", paths.path("log"))
            .take(3)
            .map(Result::unwrap)
            .collect();
        assert_eq!(some, [0, 1, 2]);
        pool.shutdown().unwrap();
        assert!(paths.text("log").starts_with("closed at "));
    });
}

#[test]
fn calls_and_streams_of_their_own_outlive_what_they_were_made_from() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let counter = LastingClient::new(&pool).unwrap();
        let doubled = tokio::spawn(pool.call_owned::<_, u64>("double", 21));
        let named = format!("co{}", "unt");
        let numbers = pool.stream_owned::<_, u64>(named, 3).map(Result::unwrap);
        let of_trait = counter.count(4).map(Result::unwrap);
        drop((counter, pool));
        let (doubled, numbers, of_trait) = futures::join!(
            doubled,
            tokio::spawn(numbers.collect::<Vec<_>>()),
            tokio::spawn(of_trait.collect::<Vec<_>>()),
        );
        assert_eq!(doubled.unwrap().unwrap(), 42);
        assert_eq!(numbers.unwrap(), [0, 1, 2]);
        assert_eq!(of_trait.unwrap(), [0, 1, 2, 3]);
    });
}

#[pyproc::remote]
trait Counter {
    fn count(&self, n: u64) -> impl Stream<Item = pyproc::Result<u64>>;
    #[pyproc(name = "blobs")]
    fn text(&self, n: u64, size: usize) -> impl Stream<Item = pyproc::Result<String>>;
    async fn double(&self, x: u64) -> pyproc::Result<u64>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    fn count(&self, n: u64) -> BoxStream<'_, pyproc::Result<u64>>;
}

#[pyproc::remote(object_safe)]
trait Lasting {
    fn count(&self, n: u64) -> BoxStream<'static, pyproc::Result<u64>>;
}

#[pyproc::remote]
trait Mistaken {
    async fn count(&self, n: u64) -> pyproc::Result<u64>;
}

#[pyproc::remote]
trait AlsoMistaken {
    fn double(&self, x: u64) -> impl Stream<Item = pyproc::Result<u64>>;
}

#[test]
fn methods_of_a_trait_return_streams() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let counter = CounterClient::new(&pool).unwrap();
        let numbers: Vec<_> = counter.count(3).map(Result::unwrap).collect().await;
        assert_eq!(numbers, [0, 1, 2]);
        let text: Vec<_> = counter.text(2, 3).map(Result::unwrap).collect().await;
        assert_eq!(text, ["xxx", "xxx"]);
        assert_eq!(counter.double(21).await.unwrap(), 42);
        let shared: Arc<dyn Shared> = Arc::new(SharedClient::new(&pool).unwrap());
        assert_eq!(shared.count(3).map(Result::unwrap).count().await, 3);

        let error = MistakenClient::new(&pool).unwrap_err();
        let culprit = "yields a stream";
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["Mistaken::count", culprit],
        );
        let error = AlsoMistakenClient::new(&pool).unwrap_err();
        let culprit = "returns one value";
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["AlsoMistaken::double", culprit],
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_worker_that_is_stuck_is_replaced_also_while_it_has_a_stream_that_may_go_on() {
    scenario(async {
        let pool = workers(1)
            .overdue_after(Duration::from_millis(500))
            .start()
            .await
            .unwrap();
        // It has credit, and no deadline; so the worker may be busy with it, for all that its frames tell.
        let mut stream = count(&pool, 10_000_000);
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        let stuck = pool.call::<_, u64>("hold_the_lock", json!({}));
        let reading = async {
            let mut last = Ok(0);
            while let Some(item) = stream.next().await {
                last = item;
            }
            last
        };
        let (stuck, last) = futures::join!(stuck.deadline(Duration::from_millis(200)), reading);
        assert_error(
            &stuck.unwrap_err(),
            ErrorKind::Deadline,
            Fate::MayHaveRun,
            &["hold_the_lock"],
        );
        let error = last.unwrap_err();
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &["count"]);
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        pool.shutdown().await.unwrap();
    });
}
