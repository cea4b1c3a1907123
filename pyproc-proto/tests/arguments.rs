//! Calls with an argument that follows item by item.

mod support;

use proptest::prelude::*;
use pyproc_proto::{
    CallId, FunctionInfo, HostEvent, ItemError, Kind, ParameterInfo, ProtocolError, Request,
    RequestError, Welcome, WorkerEvent,
};
use support::{Pair, frame, request, welcome};

/// What the frame of an item has besides its body.
const HEADER: u32 = 16;

/// The place of `values` among the parameters of `total`.
const PLACE: u16 = 1;

/// A call with items whose worker has granted so much.
fn granted(bytes: u32) -> (Pair, CallId) {
    let mut pair = Pair::ready();
    let call = pair.call_with_items(7);
    pair.worker.grant(call, PLACE, bytes);
    pair.carry();
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Credit { call }));
    (pair, call)
}

/// The items that the worker has, as text, and what came after them.
fn items(pair: &mut Pair) -> (Vec<String>, Option<WorkerEvent>) {
    let mut items = Vec::new();
    loop {
        match pair.worker.poll_event() {
            Some(WorkerEvent::Item { body, .. }) => {
                items.push(String::from_utf8(body.to_vec()).expect("text"));
            }
            event => return (items, event),
        }
    }
}

fn from_the_host(pair: &mut Pair, bytes: &[u8]) -> Result<(), ProtocolError> {
    pair.worker.input_mut().extend_from_slice(bytes);
    pair.worker.handle_input(pair.now)
}

#[test]
fn items_come_in_order_and_then_the_end() {
    let (mut pair, call) = granted(1000);
    for item in ["1", "22", "333"] {
        pair.host.item(call, item.as_bytes()).expect("credit");
    }
    pair.host.end_items(call);
    pair.carry();
    let (items, end) = items(&mut pair);
    assert_eq!(items, ["1", "22", "333"]);
    assert_eq!(end, Some(WorkerEvent::ItemsEnd { call }));
    pair.worker.reply(call, b"6").expect("it waits");
    pair.carry();
    let reply = pair.host.poll_event();
    assert!(matches!(reply, Some(HostEvent::Reply { token: 7, .. })));
}

#[test]
fn a_host_sends_no_more_than_it_was_granted_and_one_item() {
    let (mut pair, call) = granted(HEADER + 2);
    assert_eq!(pair.host.credit(call), i64::from(HEADER + 2));
    pair.host.item(call, b"1").expect("credit");
    pair.host
        .item(call, b"22")
        .expect("a byte of credit is left");
    let before = pair.host.output_len();
    let refused = Err(ItemError::NoCredit { call });
    assert_eq!(pair.host.item(call, b"3"), refused);
    assert_eq!(pair.host.output_len(), before);

    // The second item used up its own length in advance.
    pair.worker.grant(call, PLACE, HEADER + 1);
    pair.carry();
    assert_eq!(pair.host.credit(call), 0);
    pair.worker.grant(call, PLACE, 1);
    pair.carry();
    pair.host.item(call, b"3").expect("credit");
    pair.carry();
    assert_eq!(items(&mut pair).0, ["1", "22", "3"]);
}

#[test]
fn nothing_is_sent_before_the_worker_asks_for_it() {
    let mut pair = Pair::ready();
    let call = pair.call_with_items(7);
    assert_eq!(pair.host.credit(call), 0);
    let refused = Err(ItemError::NoCredit { call });
    assert_eq!(pair.host.item(call, b"1"), refused);
    let early = frame(Kind::StreamItem as u8, PLACE, call.get(), b"1");
    let without = Err(ProtocolError::WithoutCredit { call: call.get() });
    assert_eq!(from_the_host(&mut pair, &early), without);
}

#[test]
fn an_item_over_the_limit_is_refused_before_a_byte_is_written() {
    let (mut pair, call) = granted(1000);
    let refused = pair.host.item(call, &[b'1'; 5000]);
    assert!(matches!(refused, Err(ItemError::TooLarge { .. })));
    assert_eq!(pair.host.credit(call), 1000);
    pair.host.item(call, b"1").expect("the others go on");
    pair.carry();
    assert_eq!(items(&mut pair).0, ["1"]);
}

#[test]
fn items_that_cross_the_answer_are_nobodys() {
    let (mut pair, call) = granted(1000);
    pair.host.item(call, b"1").expect("credit");
    pair.worker.reply(call, b"0").expect("it waits");
    pair.host.item(call, b"2").expect("credit");
    pair.host.end_items(call);
    pair.carry_to_worker(usize::MAX).expect("nothing is wrong");
    assert_eq!(pair.worker.poll_event(), None);
    // What is granted for a call that was answered is not said.
    let before = pair.worker.output().len();
    pair.worker.grant(call, PLACE, 1000);
    assert_eq!(pair.worker.output().len(), before);
    pair.carry();
    let reply = pair.host.poll_event();
    assert!(matches!(reply, Some(HostEvent::Reply { .. })));
    let ended = Err(ItemError::NotWaiting { call });
    assert_eq!(pair.host.item(call, b"3"), ended);
}

#[test]
fn credit_that_crosses_the_end_of_the_items_is_ignored() {
    let (mut pair, call) = granted(1000);
    pair.host.end_items(call);
    pair.worker.grant(call, PLACE, 1000);
    pair.carry_to_host(usize::MAX).expect("nothing is wrong");
    assert_eq!(pair.host.poll_event(), None);
    let ended = Err(ItemError::NotWaiting { call });
    assert_eq!(pair.host.item(call, b"1"), ended);
    let before = pair.host.output_len();
    pair.host.end_items(call);
    assert_eq!(pair.host.output_len(), before);
}

#[test]
fn an_item_after_the_end_or_for_another_parameter_condemns_the_host() {
    let (mut pair, call) = granted(1000);
    let elsewhere = frame(Kind::StreamItem as u8, PLACE + 1, call.get(), b"1");
    assert!(matches!(
        from_the_host(&mut pair, &elsewhere),
        Err(ProtocolError::UnexpectedIndex { .. })
    ));
    for kind in [Kind::StreamItem, Kind::StreamEnd] {
        let (mut pair, call) = granted(1000);
        pair.host.end_items(call);
        pair.carry();
        let late = frame(kind as u8, PLACE, call.get(), b"");
        assert!(matches!(
            from_the_host(&mut pair, &late),
            Err(ProtocolError::UnexpectedFrame { .. })
        ));
    }
}

#[test]
fn items_for_a_call_without_them_condemn_the_host_and_so_do_those_for_no_call() {
    for kind in [Kind::StreamItem, Kind::StreamEnd] {
        let mut pair = Pair::ready();
        let call = pair.call(7).get();
        let none = Err(ProtocolError::NoItems { kind, call });
        assert_eq!(
            from_the_host(&mut pair, &frame(kind as u8, 0, call, b"")),
            none,
            "{kind}"
        );
        let mut pair = Pair::ready();
        let never = Err(ProtocolError::UnknownCall { call: 1 });
        assert_eq!(
            from_the_host(&mut pair, &frame(kind as u8, 0, 1, b"")),
            never,
            "{kind}"
        );
    }
}

#[test]
fn credit_for_the_wrong_call_or_parameter_condemns_the_worker() {
    let grant = |place, call: CallId| frame(Kind::Credit as u8, place, call.get(), &[0, 0, 0, 9]);
    let mut pair = Pair::ready();
    let call = pair.call(7);
    let (kind, number) = (Kind::Credit, call.get());
    let none = Err(ProtocolError::NoItems { kind, call: number });
    assert_eq!(pair.deliver(&grant(0, call)), none);

    let mut pair = Pair::ready();
    let call = pair.call_with_items(7);
    let (kind, index) = (Kind::Credit, 0);
    let elsewhere = Err(ProtocolError::UnexpectedIndex { kind, index });
    assert_eq!(pair.deliver(&grant(0, call)), elsewhere);
    assert_eq!(pair.host.take_in_flight().len(), 1);

    let mut pair = Pair::ready();
    let call = pair.call_with_items(7);
    pair.worker.reply(call, b"0").expect("it waits");
    pair.carry();
    let call_number = call.get();
    let ended = Err(ProtocolError::UnknownCall { call: call_number });
    assert_eq!(pair.deliver(&grant(PLACE, call)), ended);
}

#[test]
fn credit_that_is_malformed_condemns_the_worker() {
    for body in [&b""[..], b"123", b"12345"] {
        let mut pair = Pair::ready();
        let call = pair.call_with_items(7);
        let result = pair.deliver(&frame(Kind::Credit as u8, PLACE, call.get(), body));
        assert!(matches!(result, Err(ProtocolError::MalformedBody { .. })));
    }
}

#[test]
fn whether_items_follow_is_checked_before_a_byte_is_written() {
    let mut pair = Pair::ready();
    let before = pair.host.output_len();
    let rejected = pair.host.request(request("total", b""), 7, pair.now);
    let name = "total".to_owned();
    assert_eq!(
        rejected.expect_err("items must follow").reason,
        RequestError::TakesItems { name }
    );
    let name = "classify".to_owned();
    let reasons = [
        RequestError::TakesNoItems { name: name.clone() },
        RequestError::NoStreams { name },
    ];
    for (pair, reason) in [&mut pair, &mut Pair::json()].into_iter().zip(reasons) {
        let has_items = Request {
            has_items: true,
            ..request("classify", b"{}")
        };
        let rejected = pair.host.request(has_items, 7, pair.now);
        assert_eq!(rejected.expect_err("no items can follow").reason, reason);
    }
    assert_eq!(pair.host.output_len(), before);
}

#[test]
fn a_table_with_two_streams_for_one_function_condemns_the_worker() {
    let stream = ParameterInfo {
        is_stream: true,
        ..ParameterInfo::default()
    };
    let name = "zip".to_owned();
    let mut pair = Pair::binary();
    pair.carry();
    pair.worker.welcome(&Welcome {
        functions: vec![FunctionInfo {
            name: name.clone(),
            parameters: vec![stream.clone(), stream],
            ..FunctionInfo::default()
        }],
        ..welcome()
    });
    let refused = Err(ProtocolError::TwoStreams { name });
    assert_eq!(pair.carry_to_host(usize::MAX), refused);
}

#[test]
fn items_go_both_ways_in_one_call() {
    let mut pair = Pair::ready();
    let both = Request {
        credit: Some(1000),
        has_items: true,
        ..request("echo", b"{}")
    };
    let call = pair.host.request(both, 7, pair.now).expect("accepted");
    pair.carry();
    assert!(matches!(
        pair.worker.poll_event(),
        Some(WorkerEvent::Request {
            wants_stream: true,
            items_follow: true,
            ..
        })
    ));
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Credit { call }));
    pair.worker.grant(call, 0, 1000);
    for item in [&b"1"[..], b"2"] {
        pair.carry();
        pair.host.item(call, item).expect("credit");
        pair.carry();
        let Some(WorkerEvent::Item { body, .. }) = pair.worker.poll_event() else {
            panic!("no item");
        };
        pair.worker.item(call, &body).expect("credit");
    }
    pair.host.end_items(call);
    pair.worker.end(call).expect("it waits");
    pair.carry_to_host(usize::MAX).expect("a good worker");
    let events = std::iter::from_fn(|| pair.host.poll_event());
    let kinds: Vec<_> = events
        .map(|event| match event {
            HostEvent::Credit { .. } => "credit",
            HostEvent::Item { .. } => "item",
            HostEvent::StreamEnd { .. } => "end",
            _ => "another",
        })
        .collect();
    assert_eq!(kinds, ["credit", "item", "item", "end"]);
    // The end of the items has crossed that of the call.
    pair.carry_to_worker(usize::MAX).expect("nothing is wrong");
    assert_eq!(pair.worker.poll_event(), None);
}

#[test]
fn a_draining_connection_still_carries_items() {
    let (mut pair, call) = granted(1000);
    pair.host.drain();
    pair.host.item(call, b"1").expect("credit");
    pair.host.end_items(call);
    pair.carry();
    let mut told = Vec::new();
    while let Some(event) = pair.worker.poll_event() {
        told.push(event);
    }
    assert!(matches!(
        &told[..],
        [
            WorkerEvent::Drain,
            WorkerEvent::Item { .. },
            WorkerEvent::ItemsEnd { .. }
        ]
    ));
}

proptest! {
    /// What was sent and not taken is never more than what was granted and one item, and all of it
    /// arrives in order.
    #[test]
    fn what_is_on_its_way_is_bounded_by_the_credit(
        steps in prop::collection::vec((any::<bool>(), 1u32..300), 1..80),
    ) {
        let (mut pair, call) = granted(100);
        let (mut granted, mut sent, mut arrived, mut number) = (100i64, 0i64, 0u32, 0u32);
        for (is_grant, size) in steps {
            if is_grant {
                pair.worker.grant(call, PLACE, size);
                pair.carry();
                granted += i64::from(size);
            } else {
                let mut item = number.to_be_bytes().to_vec();
                item.resize(4 + size as usize, 0);
                let had_credit = sent < granted;
                prop_assert_eq!(pair.host.item(call, &item).is_ok(), had_credit);
                if had_credit {
                    sent += i64::from(HEADER) + item.len() as i64;
                    number += 1;
                }
                prop_assert_eq!(pair.host.credit(call), granted - sent);
                pair.carry();
            }
            while let Some(event) = pair.worker.poll_event() {
                let WorkerEvent::Item { body, .. } = event else {
                    panic!("{event:?}");
                };
                prop_assert_eq!(&body[..4], arrived.to_be_bytes());
                arrived += 1;
            }
            prop_assert_eq!(arrived, number);
        }
    }
}
