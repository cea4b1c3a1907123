//! Which worker a call goes to, when, with what beside it, and how often.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;

use pyproc::{ErrorKind, Fate, PoolBuilder};
use serde_json::json;
use support::{assert_error, scenario, scenario_without_runtime};

fn workers(count: usize) -> PoolBuilder {
    support::pool("routing.py").workers(count)
}

#[test]
fn metadata_go_there_and_back_also_for_a_call_that_waits() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let call = |number: usize| {
            let back = BTreeMap::from([("served", format!("ü{number}"))]);
            pool.call::<_, BTreeMap<String, String>>("echo_metadata", back)
                .metadata("traceparent", format!("00-{number}"))
                .metadata("user", "ä")
                .with_metadata()
        };
        // All but the first wait in the line.
        for (number, response) in futures::future::join_all((0..20).map(call))
            .await
            .into_iter()
            .enumerate()
        {
            let response = response.unwrap();
            let sent = [
                ("traceparent", format!("00-{number}")),
                ("user", "ä".to_owned()),
            ];
            assert!(
                response
                    .value
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.clone()))
                    .eq(sent)
            );
            let back: Vec<_> = response.metadata.iter().collect();
            assert_eq!(back, [("served", &*format!("ü{number}"))]);
        }
        // Without any, none.
        let nothing = BTreeMap::<String, String>::new();
        let call = pool.call::<_, BTreeMap<String, String>>("echo_metadata", &nothing);
        let response = call.with_metadata().await.unwrap();
        assert!(response.value.is_empty() && response.metadata.is_empty());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn metadata_that_no_frame_has_room_for_end_the_call_before_it_is_sent() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let call = pool.call::<_, u32>("pid", json!({}));
        let error = call
            .metadata("k", "v".repeat(65_531))
            .metadata("", "")
            .await;
        let error = error.unwrap_err();
        let culprits = ["call of `pid`", "65536 bytes"];
        assert_error(&error, ErrorKind::TooLarge, Fate::NotStarted, &culprits);
        assert_eq!(pool.status().in_flight, 0);
        let call = pool.call::<_, u32>("pid", json!({}));
        call.metadata("", "v".repeat(65_531)).await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_sends_metadata_too() {
    scenario_without_runtime(|| {
        let pool = workers(1).start_blocking().unwrap();
        let call = pool
            .handle()
            .call::<_, String>("trace", json!({"first": "a", "second": "b"}));
        let response = pool.wait(call.metadata("traceparent", "00-1").with_metadata());
        let response = response.unwrap();
        assert_eq!(response.value, "00-1");
        assert_eq!(response.metadata.get("order"), Some("ab"));
        pool.shutdown().unwrap();
    });
}
