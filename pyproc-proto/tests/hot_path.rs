//! What a call costs on the host's side, once a connection is warm.

#[path = "support/counting.rs"]
mod counting;
mod support;

use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{Body, HostConnection, HostEvent, Limits, Metadata, Request};
use support::{Pair, frame, request};

/// The bytes of a reply to a call.
fn reply_to(call: u64, body: &[u8]) -> Vec<u8> {
    frame(0x84, 0, call, body)
}

#[test]
fn a_call_on_a_warm_connection_allocates_nothing() {
    const WARM_UP: u64 = 100;
    const CALLS: u64 = 10_000;
    let mut pair = Pair::ready();
    let replies: Vec<_> = (1..=WARM_UP + CALLS)
        .map(|call| reply_to(call, br#"{"species":"setosa"}"#))
        .collect();
    let mut replies = replies.iter();
    let mut call = |pair: &mut Pair| {
        let request = request("classify", br#"{"petal_length":1.4}"#);
        let id = pair.host.request(request, 7, pair.now).expect("accepted");
        let length = pair.host.output().len();
        pair.host.advance_output(length);
        let reply = replies.next().expect("one per call");
        // As a driver does, which keeps room for a few kilobytes to read into.
        pair.host.input_mut().reserve(4096);
        pair.deliver(reply).expect("well formed");
        let event = pair.host.poll_event();
        assert!(matches!(event, Some(HostEvent::Reply { call, .. }) if call == id));
    };
    for _ in 0..WARM_UP {
        call(&mut pair);
    }
    let allocations = counting::allocations_of(|| {
        for _ in 0..CALLS {
            call(&mut pair);
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_reply_is_a_view_into_the_input_and_not_a_copy() {
    let mut pair = Pair::ready();
    pair.call(7);
    let bytes = reply_to(1, &[b'1'; 1000]);
    pair.host.input_mut().extend_from_slice(&bytes);
    let input = pair.host.input_mut().as_ptr_range();
    pair.host.handle_input(pair.now).expect("well formed");
    let Some(HostEvent::Reply { body, .. }) = pair.host.poll_event() else {
        panic!("no reply");
    };
    assert!(input.contains(&body.as_ptr()));
    assert_eq!(body.len(), 1000);
}

#[test]
fn a_large_reply_arrives_in_the_memory_of_its_request() {
    const MIB: usize = 1024 * 1024;
    let now = Instant::now();
    let limits = Limits {
        max_frame: 2 * MIB,
        ..Limits::default()
    };
    let mut host = HostConnection::<u8>::binary(&support::hello(), limits, now);
    host.advance_output(usize::MAX);
    let welcome = serde_json::to_vec(&support::welcome()).expect("plain data");
    let deliver = |host: &mut HostConnection<u8>, bytes: &[u8]| {
        host.input_mut().extend_from_slice(bytes);
        host.handle_input(now).expect("well formed");
    };
    deliver(&mut host, &frame(0x82, 0, 0, &welcome));
    assert!(matches!(host.poll_event(), Some(HostEvent::Ready(_))));

    let body = Bytes::from(vec![b'1'; MIB]);
    let memory = body.as_ptr_range();
    let request = Request {
        body: Body::Shared(&body),
        ..request("classify", b"")
    };
    host.request(request, 7, now).expect("accepted");
    drop(body);
    host.advance_output(usize::MAX);
    // The bytes of a reply come in several reads.
    let bytes = reply_to(1, &[b'2'; MIB - 100]);
    for chunk in bytes.chunks(100_000) {
        deliver(&mut host, chunk);
    }
    let Some(HostEvent::Reply { body, .. }) = host.poll_event() else {
        panic!("no reply");
    };
    assert!(memory.contains(&body.as_ptr()));
    assert!(body.len() == MIB - 100 && body.iter().all(|byte| *byte == b'2'));
}

#[test]
fn no_metadata_cost_nothing() {
    let allocations = counting::allocations_of(|| assert!(Metadata::new().is_empty()));
    assert_eq!(allocations, 0);
}
