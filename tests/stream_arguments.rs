//! Arguments that are streams: from a stream of the program to an iterator in a worker process.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt, stream};
use pyproc::{BoxStream, ErrorKind, Fate, Json, PoolBuilder, Protocol, with_items, with_try_items};
use serde_json::{Value, json};
use support::{
    Held, Paths, Peaks, assert_error, assert_never_replaced, kill, nothing_in_flight, pid_of, said,
    scenario, until, until_while,
};

fn workers(count: usize) -> PoolBuilder {
    support::pool("stream_arguments.py").workers(count)
}

/// The stream, and how many items were taken from it.
fn counted<T>(items: impl Stream<Item = T>) -> (impl Stream<Item = T>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&count);
    let items = items.inspect(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    (items, count)
}

/// Items that nobody ever gets to the end of.
fn endless() -> impl Stream<Item = u64> {
    stream::iter(0..)
}

/// An item that no codec sends: lists in lists, one more than bodies may hold.
fn too_deep() -> Value {
    (0..128).fold(json!([]), |inner, _| json!([inner]))
}

/// One item, and then nothing more.
fn one_and_no_more() -> impl Stream<Item = u64> {
    stream::iter([1]).chain(stream::pending())
}

#[test]
fn items_come_in_order_and_then_the_end() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for items in [0, 1, 3, 20_000_u64] {
            let total: u64 = pool
                .call("total", with_items((), stream::iter(0..items)))
                .await
                .unwrap();
            assert_eq!(total, items * items.saturating_sub(1) / 2);
        }
        let argument = with_items(json!({"by": 3, "offset": 1}), stream::iter([1, 2]));
        let scaled: Vec<u64> = pool.call("scaled", argument).await.unwrap();
        assert_eq!(scaled, [4, 7]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_item_reaches_the_function_before_the_next_one_is_made() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let (mut to_worker, items) = mpsc::channel::<u64>(0);
        let mut doubled = pool.stream::<_, u64>("doubled", with_items((), items));
        for number in 0..200 {
            // Each answer is there before the next item is.
            let (sent, answer) = futures::join!(to_worker.send(number), doubled.next());
            sent.unwrap();
            assert_eq!(answer.unwrap().unwrap(), 2 * number);
        }
        drop(to_worker);
        assert!(doubled.next().await.is_none());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_hundred_thousand_items_go_there_and_back() {
    scenario(async {
        const ITEMS: usize = 100_000;
        let pool = workers(1).stream_window(5000).start().await.unwrap();
        let (items, taken) = counted(stream::iter(0..ITEMS).map(|number| number.to_string()));
        let mut echo = pool.stream::<_, String>("echo", with_items((), items));
        for number in 0..ITEMS {
            assert_eq!(echo.next().await.unwrap().unwrap(), number.to_string());
        }
        assert!(echo.next().await.is_none());
        assert_eq!(taken.load(Ordering::Relaxed), ITEMS);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_reader_that_pauses_makes_the_source_of_the_same_call_pause() {
    scenario(async {
        let pool = workers(1).stream_window(10_000).start().await.unwrap();
        let (items, taken) = counted(endless().map(|_| "x".repeat(1000)));
        let mut echo = pool.stream::<_, String>("echo", with_items((), items));
        for _ in 0..100 {
            assert_eq!(echo.next().await.unwrap().unwrap().len(), 1000);
        }
        // What lies in the worker is the window of the argument, what lies here that of the results.
        let most = 100 + 2 * (256 * 1024 + 2 * 10_000) / 1000;
        assert!(taken.load(Ordering::Relaxed) <= most);
        drop(echo);
        nothing_in_flight(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_slow_function_makes_the_source_pause() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let paths = Paths::new();
        let (items, taken) = counted(endless().take(2000).map(|_| "x".repeat(1000)));
        let call = pool.call::<_, u64>("slowly", with_items(paths.path("gate"), items));
        let other = async {
            until("it has read", || taken.load(Ordering::Relaxed) > 100).await;
            for number in 0..100 {
                let doubled: u64 = pool.call("double", number).await.unwrap();
                assert_eq!(doubled, 2 * number);
            }
            let most = 2 + 256 * 1024 / 1000;
            assert!(taken.load(Ordering::Relaxed) <= most);
            paths.write("gate");
        };
        let (read, ()) = futures::join!(call, other);
        assert_eq!(read.unwrap(), 2_000_000);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_million_items_cost_neither_side_memory() {
    scenario(async {
        const LIMIT: u64 = 16 * 1024 * 1024;
        const ITEMS: usize = 1_000_000;
        let pool = workers(1).start().await.unwrap();
        let warm = stream::iter((0..10_000).map(|_| "x".repeat(64)));
        let _: u64 = pool.call("lengths", with_items((), warm)).await.unwrap();
        let peaks = Peaks::of([std::process::id(), pid_of(&pool, 0)]);
        let items = stream::iter((0..ITEMS).map(|_| "x".repeat(64)));
        let read: usize = pool.call("lengths", with_items((), items)).await.unwrap();
        assert_eq!(read, 64 * ITEMS);
        peaks.assert_grown_by_at_most(LIMIT);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_source_is_not_touched_before_the_function_asks() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        let (items, taken) = counted(stream::iter([1, 2]));
        let queued = pool.call::<_, u64>("total", with_items((), items));
        let (left, untouched) = counted(endless());
        let waiting = pool.call::<_, String>("never", with_items((), left));
        let look = async {
            until("all are there", || {
                let status = pool.status();
                (status.in_flight, status.waiting) == (2, 1)
            })
            .await;
            assert_eq!(taken.load(Ordering::Relaxed), 0);
            held.end().await.unwrap();
        };
        let (total, never, ()) = futures::join!(queued, waiting, look);
        assert_eq!((total.unwrap(), never.unwrap()), (3, "done".to_owned()));
        assert_eq!(taken.load(Ordering::Relaxed), 2);
        assert_eq!(untouched.load(Ordering::Relaxed), 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_function_that_returns_early_ends_the_call_and_drops_the_rest() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for _ in 0..20 {
            let (items, taken) = counted(endless());
            let read: Vec<u64> = pool.call("first", with_items(3, items)).await.unwrap();
            assert_eq!(read, [0, 1, 2]);
            // The source has gone with the call, and with it its count.
            assert_eq!(Arc::strong_count(&taken), 1);
        }
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_source_that_fails_ends_the_call_with_its_error_and_the_function_too() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let items = stream::iter([Ok(1), Ok(2), Err(io::Error::other("the disk is gone"))]);
        let call = pool.call::<_, u64>("tidy", with_try_items(paths.path("log"), items));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::MayHaveRun,
            &["tidy", "the stream that the function reads has failed"],
        );
        assert!(said(&error).contains("the disk is gone"));
        until("the function has ended", || {
            paths.text("log") == "Interrupted\n"
        })
        .await;
        nothing_in_flight(&pool).await;
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_function_that_gets_no_item_at_all_has_begun_all_the_same() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let none = stream::iter([Err::<u64, _>(io::Error::other("there is no disk"))]);
        let call = pool.call::<_, u64>("total", with_try_items((), none));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::MayHaveRun,
            &["total", "the stream that the function reads has failed"],
        );
        let unencodable = stream::iter([too_deep()]);
        let call = pool.call::<_, u64>("total", with_items((), unencodable));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::Codec,
            Fate::MayHaveRun,
            &["total", "an item of the argument cannot be encoded"],
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_that_has_ended_keeps_no_source() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let (items, taken) = counted(endless());
        let mut call = pool.call::<_, Vec<u64>>("first", with_items(3, items));
        assert_eq!((&mut call).await.unwrap(), [0, 1, 2]);
        assert_eq!(Arc::strong_count(&taken), 1);
        drop(call);
        let (items, taken) = counted(endless().map(|_| "no number"));
        let mut doubled = pool.stream::<_, u64>("doubled", with_items((), items));
        assert!(doubled.next().await.unwrap().is_err());
        assert_eq!(Arc::strong_count(&taken), 1);
        drop(doubled);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_item_that_cannot_be_sent_ends_the_call_with_the_reason() {
    scenario(async {
        let pool = workers(1).max_frame(65_536).start().await.unwrap();
        let unencodable = stream::iter([json!(1), too_deep()]);
        let call = pool.call::<_, u64>("total", with_items((), unencodable));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::Codec,
            Fate::MayHaveRun,
            &["total", "an item of the argument cannot be encoded"],
        );
        let large = stream::iter([1, 100_000]).map(|size| "x".repeat(size));
        let call = pool.call::<_, u64>("lengths", with_items((), large));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::TooLarge,
            Fate::MayHaveRun,
            &["lengths", "65536", "max_frame"],
        );
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_item_of_another_type_raises_in_the_function() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let items = stream::iter([json!(1), json!("two")]);
        let call = pool.call::<_, u64>("total", with_items((), items));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::Exception,
            Fate::Failed,
            &["total", "InvalidArgument", "items"],
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn dropping_the_call_drops_the_source_and_frees_the_worker() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        for round in 1..=10 {
            let (items, taken) = counted(one_and_no_more());
            let mut call = pool.call::<_, u64>("tidy", with_items(paths.path("log"), items));
            until_while("the item was taken", &mut call, || {
                taken.load(Ordering::Relaxed) == 1
            })
            .await;
            drop(call);
            assert_eq!(Arc::strong_count(&taken), 1);
            until("the function has ended", || {
                paths.text("log") == "Interrupted\n".repeat(round)
            })
            .await;
        }
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_function_that_waits_for_an_item_ends_at_its_deadline() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let call = pool
            .call::<_, u64>("tidy", with_items(paths.path("log"), one_and_no_more()))
            .deadline(Duration::from_millis(100));
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
        until("the function has ended", || {
            paths.text("log") == "Interrupted\n"
        })
        .await;
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_is_killed_in_mid_argument_ends_the_call_which_is_not_begun_anew() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let paths = Paths::new();
        let (items, taken) = counted(one_and_no_more());
        let call = pool
            .call::<_, u64>("pid_and_total", with_items(paths.path("log"), items))
            .idempotent();
        let killed = async {
            until("it waits for the second", || {
                taken.load(Ordering::Relaxed) == 1 && !paths.text("log").is_empty()
            })
            .await;
            kill(paths.text("log").parse().unwrap());
        };
        let (result, ()) = futures::join!(call, killed);
        assert_error(
            &result.unwrap_err(),
            ErrorKind::WorkerDied,
            Fate::MayHaveRun,
            &["pid_and_total", "SIGKILL"],
        );
        let counts = pool.status().counts;
        assert_eq!((counts.moved, counts.resent), (0, 0));
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_call_that_has_not_begun_moves_with_its_stream_when_its_worker_dies() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let first = pool.call::<_, u64>(
            "pid_and_total",
            with_items(paths.path("log"), one_and_no_more()),
        );
        let (items, taken) = counted(stream::iter([1, 2, 3]));
        let second = pool.call::<_, u64>("total", with_items((), items));
        let killed = async {
            until("both are there", || {
                pool.status().in_flight == 2 && !paths.text("log").is_empty()
            })
            .await;
            assert_eq!(taken.load(Ordering::Relaxed), 0);
            kill(paths.text("log").parse().unwrap());
        };
        let (first, second, ()) = futures::join!(first, second, killed);
        assert_eq!(first.unwrap_err().kind(), ErrorKind::WorkerDied);
        assert_eq!(second.unwrap(), 6);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_that_come_while_a_function_waits_have_their_turn_after_it() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        let (mut to_worker, items) = mpsc::channel::<u64>(0);
        let call = pool.call::<_, u64>("total", with_items((), items));
        let rest = async {
            to_worker.send(1).await.unwrap();
            let waiting = (0..2).map(|number| pool.call::<_, u64>("double", number));
            let mut waiting = futures::future::join_all(waiting);
            until_while("they are queued", &mut waiting, || {
                pool.status().in_flight == 3
            })
            .await;
            to_worker.send(2).await.unwrap();
            drop(to_worker);
            waiting.await
        };
        let (total, rest) = futures::join!(call, rest);
        assert_eq!(total.unwrap(), 3);
        let rest: Vec<_> = rest.into_iter().map(Result::unwrap).collect();
        assert_eq!(rest, [0, 2]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_stream_is_given_exactly_where_one_is_taken() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let error = pool.call::<_, Value>("total", ()).await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["total", "with_items"],
        );
        let call = pool.call::<_, Value>("double", with_items(1, endless()));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["double", "Iterator"],
        );
        pool.shutdown().await.unwrap();
        let pool = workers(1)
            .listen()
            .protocol(Protocol::Json)
            .codec(Json)
            .start()
            .await
            .unwrap();
        let call = pool.call::<_, Value>("total", with_items((), endless()));
        let error = call.await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["total", "the JSON protocol has no streams"],
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_listens_takes_streams_too() {
    scenario(async {
        let pool = workers(1).listen().start().await.unwrap();
        let total: u64 = pool
            .call("total", with_items((), stream::iter(0..20_000)))
            .await
            .unwrap();
        assert_eq!(total, 199_990_000);
        let items = stream::iter(0..1000);
        let doubled = pool.stream::<_, u64>("doubled", with_items((), items));
        let doubled: Vec<_> = doubled.map(Result::unwrap).collect().await;
        assert!(doubled.into_iter().eq((0..1000).map(|number| 2 * number)));
        // Without a state page nothing is interrupted, but who waits for items hears that none will come.
        let paths = Paths::new();
        let (items, taken) = counted(one_and_no_more());
        let mut call = pool.call::<_, u64>("tidy", with_items(paths.path("log"), items));
        until_while("the item was taken", &mut call, || {
            taken.load(Ordering::Relaxed) == 1
        })
        .await;
        drop(call);
        until("the function has ended", || {
            paths.text("log") == "Interrupted\n"
        })
        .await;
        nothing_in_flight(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_streams_an_iterator() {
    support::scenario_without_runtime(|| {
        let pool = workers(1).start_blocking().unwrap();
        let items = with_items((), stream::iter(0..1000));
        assert_eq!(pool.call::<_, u64>("total", items).unwrap(), 499_500);
        let items = with_items((), stream::iter(0..1000));
        let doubled = pool.stream::<_, u64>("doubled", items).map(Result::unwrap);
        assert!(doubled.eq((0..1000).map(|number| 2 * number)));
        pool.shutdown().unwrap();
    });
}

#[test]
fn a_shutdown_waits_for_a_stream_that_goes_on() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let (mut to_worker, items) = mpsc::channel::<u64>(0);
        let call = pool.call::<_, u64>("total", with_items((), items));
        let rest = async {
            to_worker.send(1).await.unwrap();
            let shutdown = pool.shutdown();
            let items = async {
                until("it shuts down", || !pool.is_ready()).await;
                for number in 2..100 {
                    to_worker.send(number).await.unwrap();
                }
                drop(to_worker);
            };
            futures::join!(shutdown, items).0
        };
        let (total, report) = futures::join!(call, rest);
        assert_eq!(total.unwrap(), 4950);
        assert_eq!(report.unwrap().cut, 0);
    });
}

fn async_workers(count: usize) -> PoolBuilder {
    support::pool("async_stream_arguments.py").workers(count)
}

#[test]
fn a_reader_of_both_ways_may_call_the_only_worker_for_each_item() {
    scenario(async {
        let pool = async_workers(1).stream_window(20).start().await.unwrap();
        let (mut to_worker, items) = mpsc::channel::<u64>(0);
        let mut doubled = pool.stream::<_, u64>("doubled", with_items((), items));
        let mut number = 1;
        for _ in 0..60 {
            let (sent, answer) = futures::join!(to_worker.send(number), doubled.next());
            sent.unwrap();
            // Both of these are plain functions of the worker that has the stream.
            let again: u64 = pool.call("double", answer.unwrap().unwrap()).await.unwrap();
            let both = with_items((), stream::iter([again, 1]));
            let next: u64 = pool.call("plain_total", both).await.unwrap();
            assert_eq!(next, 4 * number + 1);
            number = next % 1000;
        }
        drop(to_worker);
        assert!(doubled.next().await.is_none());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn async_functions_of_one_worker_take_their_streams_at_the_same_time() {
    scenario(async {
        const CALLS: usize = 50;
        let pool = async_workers(1)
            .max_in_flight_per_worker(CALLS)
            .start()
            .await
            .unwrap();
        // None has all its items before each has its first.
        let begun = Arc::new(tokio::sync::Barrier::new(CALLS));
        let calls = (0..CALLS as u64).map(|call| {
            let begun = Arc::clone(&begun);
            let first = stream::once(async move {
                begun.wait().await;
                call
            });
            let items = first.chain(stream::iter(0..100));
            let pool = &pool;
            async move {
                let total: u64 = pool.call("total", with_items((), items)).await.unwrap();
                assert_eq!(total, 4950 + call);
            }
        });
        futures::future::join_all(calls).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_async_function_that_awaits_an_item_is_cancelled_with_its_call() {
    scenario(async {
        let pool = async_workers(1).start().await.unwrap();
        let paths = Paths::new();
        let (items, taken) = counted(one_and_no_more());
        let mut call = pool.call::<_, u64>("tidy", with_items(paths.path("log"), items));
        until_while("the item was taken", &mut call, || {
            taken.load(Ordering::Relaxed) == 1
        })
        .await;
        drop(call);
        until("it has ended", || paths.text("log") == "CancelledError\n").await;
        let failing = stream::iter([Ok(1), Err(io::Error::other("no more"))]);
        let call = pool.call::<_, u64>("tidy", with_try_items(paths.path("log"), failing));
        assert!(said(&call.await.unwrap_err()).contains("no more"));
        until("it has ended", || {
            paths.text("log") == "CancelledError\n".repeat(2)
        })
        .await;
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_hundred_thousand_items_go_there_and_back_through_an_async_generator() {
    scenario(async {
        const ITEMS: u64 = 100_000;
        let pool = async_workers(1).start().await.unwrap();
        let items = with_items((), stream::iter(0..ITEMS));
        let mut doubled = pool.stream::<_, u64>("doubled", items);
        for number in 0..ITEMS {
            assert_eq!(doubled.next().await.unwrap().unwrap(), 2 * number);
        }
        assert!(doubled.next().await.is_none());
        pool.shutdown().await.unwrap();
    });
}

#[pyproc::remote]
trait Numbers {
    async fn total(&self, numbers: impl Stream<Item = u64>) -> pyproc::Result<u64>;
    async fn scaled(
        &self,
        by: u64,
        numbers: impl Stream<Item = io::Result<u64>>,
        offset: u64,
    ) -> pyproc::Result<Vec<u64>>;
    async fn first(
        &self,
        count: usize,
        numbers: impl Stream<Item = u64>,
    ) -> pyproc::Result<Vec<u64>>;
    fn doubled(&self, numbers: impl Stream<Item = u64>) -> impl Stream<Item = pyproc::Result<u64>>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    async fn total(&self, numbers: BoxStream<'static, u64>) -> pyproc::Result<u64>;
    fn doubled(&self, numbers: BoxStream<'static, u64>) -> BoxStream<'static, pyproc::Result<u64>>;
}

#[test]
fn a_trait_takes_streams_beside_its_other_arguments() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let numbers = NumbersClient::new(&pool).unwrap();
        assert_eq!(numbers.total(stream::iter(0..10)).await.unwrap(), 45);
        let sure = stream::iter([1, 2]).map(Ok);
        assert_eq!(numbers.scaled(3, sure, 1).await.unwrap(), [4, 7]);
        let unsure = stream::iter([Ok(1), Err(io::Error::other("no more"))]);
        let error = numbers.scaled(3, unsure, 1).await.unwrap_err();
        assert!(said(&error).contains("no more"));
        assert_eq!(numbers.first(2, endless()).await.unwrap(), [0, 1]);
        let doubled = numbers.doubled(stream::iter(0..3)).map(Result::unwrap);
        assert_eq!(doubled.collect::<Vec<_>>().await, [0, 2, 4]);
        let shared: Arc<dyn Shared> = Arc::new(SharedClient::new(&pool).unwrap());
        let total = shared.total(stream::iter(0..10).boxed());
        assert_eq!(total.await.unwrap(), 45);
        let doubled = shared.doubled(stream::iter(0..3).boxed());
        assert_eq!(
            doubled.map(Result::unwrap).collect::<Vec<_>>().await,
            [0, 2, 4]
        );
        pool.shutdown().await.unwrap();
    });
}

#[pyproc::remote]
trait Without {
    async fn total(&self, numbers: Vec<u64>) -> pyproc::Result<u64>;
}

#[pyproc::remote]
trait With {
    async fn double(&self, numbers: impl Stream<Item = u64>) -> pyproc::Result<u64>;
}

#[test]
fn a_trait_whose_streams_are_not_those_of_the_functions_is_refused_when_it_is_bound() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for (error, culprits) in [
            (
                WithoutClient::new(&pool).unwrap_err(),
                ["Without::total", "the Python function takes a stream"],
            ),
            (
                WithClient::new(&pool).unwrap_err(),
                ["With::double", "the Python function takes no stream"],
            ),
        ] {
            let kind = ErrorKind::InvalidArgument;
            assert_error(&error, kind, Fate::NotStarted, &culprits);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn functions_in_threads_of_one_worker_take_their_streams_at_the_same_time() {
    scenario(async {
        let pool = workers(1).threads(3).start().await.unwrap();
        // None has all its items before each has its first.
        let begun = Arc::new(tokio::sync::Barrier::new(3));
        let calls = (0..3).map(|call| {
            let begun = Arc::clone(&begun);
            let first = stream::once(async move {
                begun.wait().await;
                call
            });
            pool.call::<_, u64>(
                "total",
                with_items((), first.chain(stream::iter(0..20_000))),
            )
        });
        let totals = futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(totals, [199_990_000, 199_990_001, 199_990_002]);
        // A wait for an item can be ended there, also in a thread.
        let paths = Paths::new();
        let error = pool
            .call::<_, u64>("tidy", with_items(paths.path("log"), one_and_no_more()))
            .deadline(Duration::from_millis(100))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
        until("the function has ended", || {
            paths.text("log") == "Interrupted\n"
        })
        .await;
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}
