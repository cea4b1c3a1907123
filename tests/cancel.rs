//! Calls that nobody wants any more: their workers are free again, or are replaced.

#![allow(clippy::unwrap_used, reason = "these are tests")]
// Without a state page a function that runs goes on.
#![cfg(all(target_os = "linux", not(pyproc_portable)))]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyproc::{DeathReport, Event, Events, Pool, PoolBuilder};
use serde_json::{Value, json};
use support::{call, call_with, pid_of, scenario, until, within};

/// Far less than `overdue_after`, after which a worker would be free in any case, and far more than an interrupt takes.
const SOON: Duration = Duration::from_secs(20);

fn workers(count: usize) -> PoolBuilder {
    support::pool("cancel.py")
        .workers(count)
        .overdue_after(Duration::from_secs(3600))
}

/// A directory of a test's own, with paths in it by which functions and the test tell each other how far they are.
struct Paths(tempfile::TempDir);

impl Paths {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    async fn there_is(&self, name: &str) {
        until(name, || Path::new(&self.path(name)).exists()).await;
    }
}

/// Calls a function, and drops the call when the function has begun.
async fn call_and_drop(pool: &Pool, function: &str, argument: Value, paths: &Paths) {
    tokio::select! {
        result = call_with(pool, function, argument) => panic!("{function} has ended: {result:?}"),
        () = paths.there_is("started") => {}
    }
}

/// Waits for the death of a worker.
async fn death(events: &mut Events) -> Arc<DeathReport> {
    let dying = async {
        loop {
            if let Some(Event::Died { report, .. }) = events.next().await {
                return report;
            }
        }
    };
    within(SOON, "the worker is replaced", dying).await
}

#[test]
fn a_dropped_call_that_sleeps_or_computes_is_interrupted_and_its_worker_goes_on() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let worker = pid_of(&pool, 0);
        for function in ["sleep", "loop"] {
            let paths = Paths::new();
            let argument = json!(paths.path("started"));
            call_and_drop(&pool, function, argument, &paths).await;
            let next = within(SOON, "the worker is free", call::<u32>(&pool, "pid")).await;
            assert_eq!(next.unwrap(), worker);
        }
        let status = pool.status();
        assert_eq!((status.in_flight, status.counts.cancelled), (0, 2));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_cleans_up_and_keeps_its_place_until_it_has() {
    let source = "import os\n\
        import time\n\
        from pathlib import Path\n\
        @expose\n\
        def clean_up(started: str, cleaning: str, gate: str) -> None:\n    \
            try:\n        \
                Path(started).touch()\n        \
                time.sleep(1000)\n    \
            except BaseException as error:\n        \
                Path(cleaning + '.partial').write_text(type(error).__name__)\n        \
                os.rename(cleaning + '.partial', cleaning)\n        \
                while not os.path.exists(gate):\n            \
                    time.sleep(0.001)\n        \
                raise\n";
    scenario(async {
        let pool = support::pool_of(source)
            .workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let [started, cleaning, gate] =
            ["started", "cleaning", "gate"].map(|name| paths.path(name));
        let argument = json!({ "started": started, "cleaning": cleaning, "gate": gate });
        call_and_drop(&pool, "clean_up", argument, &paths).await;
        paths.there_is("cleaning").await;
        assert_eq!(paths.text("cleaning"), "Interrupted");
        let status = pool.status();
        assert_eq!((status.in_flight, status.workers[0].in_flight), (1, 1));
        std::fs::write(&gate, "").unwrap();
        until("its place is free", || pool.status().in_flight == 0).await;
        assert_eq!(pool.status().workers[0].generation, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_that_swallows_the_interrupt_costs_its_worker_which_is_named() {
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let stuck = pid_of(&pool, 0);
        let paths = Paths::new();
        let argument = json!(paths.path("started"));
        call_and_drop(&pool, "swallow", argument, &paths).await;
        let report = death(&mut events).await;
        assert_eq!(report.worker().pid(), Some(stuck));
        let said = report.to_string();
        assert!(
            said.contains("`swallow` did not end after it was cancelled"),
            "{said}"
        );
        let stacks = report.stacks().expect("where it was");
        assert!(stacks.contains("in swallow\n"), "{stacks}");
        let next = within(SOON, "its successor answers", call::<u32>(&pool, "pid")).await;
        assert_ne!(next.unwrap(), stuck);
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_of_a_pool_without_interrupts_goes_on_to_its_end() {
    scenario(async {
        let overdue_after = Duration::from_millis(20);
        let pool = workers(1)
            .interrupt_after(None)
            .overdue_after(overdue_after);
        let pool = pool.max_in_flight_per_worker(1).start().await.unwrap();
        let paths = Paths::new();
        let [started, gate] = ["started", "gate"].map(|name| paths.path(name));
        call_and_drop(
            &pool,
            "hold",
            json!({ "started": started, "gate": gate }),
            &paths,
        )
        .await;
        tokio::time::sleep(5 * overdue_after).await;
        assert_eq!(pool.status().in_flight, 1);
        std::fs::write(&gate, "").unwrap();
        until("it has ended", || pool.status().in_flight == 0).await;
        assert_eq!(pool.status().workers[0].generation, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn what_comes_of_an_interrupt_is_no_mark_against_the_worker() {
    scenario(async {
        let pool = workers(2).eject_after(2).start().await.unwrap();
        let paths = Paths::new();
        call_with(&pool, "echo", json!(1)).await.unwrap();
        for _ in 0..10 {
            let argument = json!(paths.path("started"));
            call_and_drop(&pool, "translate", argument, &paths).await;
            until("the worker is free", || pool.status().in_flight == 0).await;
            std::fs::remove_file(paths.path("started")).unwrap();
            call_with(&pool, "echo", json!(1)).await.unwrap();
        }
        let workers = pool.status().workers;
        assert!(
            workers.iter().all(|worker| worker.generation == 1),
            "{workers:?}"
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_is_stuck_when_its_stream_is_dropped_is_interrupted() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("stuck_in_next", paths.path("started"));
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        paths.there_is("started").await;
        drop(stream);
        let next = within(SOON, "the worker is free", call::<u32>(&pool, "pid")).await;
        assert_eq!(next.unwrap(), worker);
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_yields_soon_when_its_stream_is_dropped_is_closed_rather_than_interrupted() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("yield_soon", paths.path("end"));
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        drop(stream);
        until("it was ended", || !paths.text("end").is_empty()).await;
        assert_eq!(paths.text("end"), "GeneratorExit");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_never_yields_and_swallows_the_interrupt_costs_its_worker_which_is_named() {
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("never_yields", paths.path("started"));
        tokio::select! {
            item = stream.next() => panic!("{item:?}"),
            () = paths.there_is("started") => {}
        }
        drop(stream);
        let said = death(&mut events).await.to_string();
        assert!(
            said.contains("`never_yields` did not end after it was cancelled"),
            "{said}"
        );
        let next = within(SOON, "its successor answers", call::<u32>(&pool, "pid")).await;
        next.unwrap();
        pool.shutdown().await.unwrap();
    });
}
