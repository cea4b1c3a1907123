//! What workers say arrives as `tracing` events. A dispatcher is set for the whole process, so these tests have one to
//! themselves; `quiet_host.rs` has none.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyproc::{ErrorKind, Restart};
use serde_json::json;
use support::{call, call_with, pid_of, pool, scenario, until};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// How many records a worker leaves behind that dies.
const LAST_WORDS: u32 = 50;

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Record>>>);

#[derive(Clone, Debug)]
struct Record {
    level: Level,
    fields: BTreeMap<String, String>,
}

impl Heard {
    fn find(&self, message: &str) -> Option<Record> {
        let records = self.0.lock().unwrap();
        records
            .iter()
            .find(|record| record.fields["message"].contains(message))
            .cloned()
    }

    fn has(&self, is_it: impl Fn(&Record) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(is_it)
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "pyproc::worker" {
            let mut record = Record {
                level: *event.metadata().level(),
                fields: BTreeMap::new(),
            };
            event.record(&mut record);
            self.0.lock().unwrap().push(record);
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}

#[test]
fn what_workers_say_arrives_with_its_level_and_its_origin() {
    let heard = Heard::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(heard.clone()))
        .unwrap();
    scenario(async {
        let iris = || {
            pool("surroundings.py")
                .name("iris")
                .workers(1)
                .restart(Restart::new().backoff(Duration::ZERO))
        };
        let pool = iris().start().await.unwrap();
        call::<()>(&pool, "speak").await.unwrap();
        let expected = [
            ("loaded by", Level::INFO, "surroundings"),
            ("logged as a warning", Level::WARN, "surroundings.voice"),
            ("said on stdout", Level::INFO, "stdout"),
            ("said on stderr", Level::WARN, "stderr"),
            ("a warning of Python's", Level::WARN, "stderr"),
        ];
        for (message, level, logger) in expected {
            until(message, || heard.find(message).is_some()).await;
            let record = heard.find(message).unwrap();
            assert_eq!(record.level, level, "{record:?}");
            assert_eq!(record.fields["logger"], logger, "{record:?}");
            assert_eq!(record.fields["pool"], "iris");
            assert_eq!(record.fields["slot"], "0");
            assert_eq!(record.fields["pid"], pid_of(&pool, 0).to_string());
        }
        assert!(heard.find("not asked for").is_none());

        // Of what nobody could read, the number is told: of lines, and of the records of `logging`.
        call_with(&pool, "shout", json!(10_000)).await.unwrap();
        for (unit, logger) in [
            ("lines", "stdout"),
            ("lines", "stderr"),
            ("records", "logging"),
        ] {
            let is_report = |record: &Record| {
                let message = &record.fields["message"];
                message.contains(&format!("{unit} with")) && record.fields["logger"] == logger
            };
            until("what was dropped is told", || heard.has(is_report)).await;
        }
        // Perhaps this worker may say no more within this second.
        pool.shutdown().await.unwrap();
        let pool = iris().start().await.unwrap();

        // What is in the connection when its worker dies is heard, too. Both are noticed at once here, because all
        // threads of the runtime are busy meanwhile; which is looked at first is chance, hence several tries.
        for death in 1..=6 {
            heard.0.lock().unwrap().clear();
            // Workers that die before they have answered anything would open the breaker.
            call::<()>(&pool, "speak").await.unwrap();
            let call = tokio::spawn({
                let pool = pool.clone();
                async move { call_with(&pool, "speak_and_exit", json!(LAST_WORDS)).await }
            });
            until("the call is sent", || pool.status().in_flight == 1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            let busy = || tokio::spawn(async { std::thread::sleep(Duration::from_millis(200)) });
            for task in [busy(), busy()] {
                task.await.unwrap();
            }
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied);
            for line in 0..LAST_WORDS {
                let message = format!("line {line} of the last words");
                assert!(heard.find(&message).is_some(), "{message}, death {death}");
            }
        }
        pool.shutdown().await.unwrap();
    });
}
