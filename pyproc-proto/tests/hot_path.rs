//! What a call costs on the host's side, once a connection is warm.

#[path = "support/counting.rs"]
mod counting;
mod support;

use pyproc_proto::{HostEvent, Metadata};
use support::{Pair, request};

/// The bytes of a reply to a call.
fn reply_to(call: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = (12 + body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0x84, 0, 0, 0]);
    bytes.extend_from_slice(&call.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
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
fn no_metadata_cost_nothing() {
    let allocations = counting::allocations_of(|| assert!(Metadata::new().is_empty()));
    assert_eq!(allocations, 0);
}
