//! What a worker prints, however much and in whatever form.

use super::*;
use std::sync::Arc;

use crate::telemetry::Origin;
use crate::telemetry::tests::Seen;
use crate::worker::{Exit, OutputKind, StderrTail, pump};

/// The messages, with their loggers, that a worker's output becomes, and its standard error's tail.
async fn printed(script: &str) -> (Vec<(String, String)>, String) {
    let seen = Seen::default();
    let _guard = tracing::subscriber::set_default(seen.clone());
    let worker = started(script).await;
    let origin = Arc::new(Origin {
        pool: "test".into(),
        slot: 3,
        pid: Some(worker.process.pid()),
    });
    let tail = Arc::new(StderrTail::default());
    let stdout = pump(worker.stdout, OutputKind::Stdout, origin.clone(), None);
    let stderr = pump(
        worker.stderr,
        OutputKind::Stderr,
        origin,
        Some(tail.clone()),
    );
    tokio::join!(stdout, stderr);
    // All was read, or the worker would still be writing.
    assert_eq!(worker.process.reap().await, Exit::Code(0));
    (seen.messages(), tail.text())
}

#[tokio::test]
async fn lines_become_events_of_their_stream() {
    let (messages, tail) = printed("echo one; echo two >&2; printf three").await;
    let of = |stream: &str| -> Vec<&str> {
        let of_stream = messages.iter().filter(|(logger, _)| logger == stream);
        of_stream.map(|(_, message)| message.as_str()).collect()
    };
    assert_eq!(of("stdout"), ["one", "three"]);
    assert_eq!(of("stderr"), ["two"]);
    assert_eq!(tail, "two");
}

#[tokio::test]
async fn ten_megabytes_without_a_line_end_are_one_short_line() {
    let (messages, _) = printed("head -c 10000000 /dev/zero | tr '\\0' x").await;
    let [(_, message)] = messages.as_slice() else {
        panic!("{} messages", messages.len());
    };
    assert!(message.len() < 9_000, "{} bytes", message.len());
    assert!(
        message.ends_with("x … [9991808 more bytes cut]"),
        "{message}"
    );
}

#[tokio::test]
async fn a_flood_is_thinned_out_and_counted_and_its_end_is_kept() {
    let (messages, tail) = printed("seq 100000 >&2").await;
    let is_report = |message: &str| message.contains("were dropped");
    let dropped: u64 = messages
        .iter()
        .filter(|(_, message)| is_report(message))
        .map(|(_, message)| message.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let passed = messages.iter().filter(|(_, message)| !is_report(message));
    let passed = u64::try_from(passed.count()).unwrap();
    assert!(
        dropped > 0 && passed >= 1_000,
        "{dropped} dropped, {passed} passed"
    );
    assert_eq!(dropped + passed, 100_000);
    assert!(tail.ends_with("99999\n100000"), "{tail}");
}

#[tokio::test]
async fn a_report_does_not_wait_for_more_output() {
    let seen = Seen::default();
    let _guard = tracing::subscriber::set_default(seen.clone());
    let worker = started("seq 5000; exec sleep 1000").await;
    let origin = Arc::new(Origin {
        pool: "test".into(),
        slot: 3,
        pid: Some(worker.process.pid()),
    });
    let reported = async {
        while !seen
            .messages()
            .iter()
            .any(|(_, message)| message.contains("were dropped"))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = pump(worker.stdout, OutputKind::Stdout, origin, None) => panic!("the pump ended"),
        outcome = tokio::time::timeout(Duration::from_secs(20), reported) => outcome.unwrap(),
    }
}
