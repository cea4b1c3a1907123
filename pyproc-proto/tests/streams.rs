//! A call that is answered by a stream, from its first credit to its end.

mod support;

use std::time::Duration;

use pyproc_proto::{
    AnswerError, CallDeadline, HostEvent, ProtocolError, RemoteError, Request, RequestError,
    Status, WorkerEvent,
};
use support::{Pair, frame, request};

/// What the frame of an item has besides its body.
const HEADER: u32 = 16;

fn stream_until(pair: &Pair, after: Duration) -> Request<'static> {
    let at = pair.now + after;
    Request {
        deadline: Some(CallDeadline { at, wire: 1 }),
        credit: Some(100),
        ..request("generate", b"{}")
    }
}

/// The items that the host has, as text, and what came after them.
fn items(pair: &mut Pair) -> (Vec<String>, Option<HostEvent<u64>>) {
    let mut items = Vec::new();
    loop {
        match pair.host.poll_event() {
            Some(HostEvent::Item { body, .. }) => {
                items.push(String::from_utf8(body.to_vec()).expect("text"));
            }
            event => return (items, event),
        }
    }
}

#[test]
fn items_come_in_order_and_then_the_end() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1000);
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Credit { call }));
    for item in ["1", "22", "333"] {
        pair.worker.item(call, item.as_bytes()).expect("credit");
    }
    pair.worker.end(call).expect("it waits");
    pair.carry();
    let (items, end) = items(&mut pair);
    assert_eq!(items, ["1", "22", "333"]);
    assert_eq!(end, Some(HostEvent::StreamEnd { call, token: 7 }));
    assert_eq!(
        (pair.host.in_flight_len(), pair.worker.unanswered_len()),
        (0, 0)
    );
}

#[test]
fn an_item_can_be_encoded_in_place() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1000);
    let written = pair.worker.item_with(call, |body| {
        body.buffer_mut().extend_from_slice(b"[1]");
        Ok::<(), ()>(())
    });
    assert_eq!(written, Ok(()));
    assert!(pair.worker.item_with(call, |_| Err(())).is_err());
    pair.carry();
    assert_eq!(items(&mut pair), (vec!["[1]".to_owned()], None));
}

#[test]
fn an_error_ends_a_stream_after_the_items_before_it() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1000);
    pair.worker.item(call, b"1").expect("credit");
    let error = RemoteError::new(Status::Exception, "ValueError", "no more");
    pair.worker.error(call, &error).expect("it waits");
    pair.carry();
    let (items, end) = items(&mut pair);
    assert_eq!(items, ["1"]);
    assert!(matches!(end, Some(HostEvent::Failed { token: 7, .. })));
}

#[test]
fn a_worker_sends_no_more_than_it_was_granted_and_one_item() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, HEADER + 2);
    assert!(pair.worker.has_credit(call));
    pair.worker.item(call, b"1").expect("credit");
    pair.worker
        .item(call, b"22")
        .expect("a byte of credit is left");
    assert!(!pair.worker.has_credit(call));
    let refused = Err(AnswerError::NoCredit { call });
    assert_eq!(pair.worker.item(call, b"3"), refused);
    pair.carry();
    assert_eq!(items(&mut pair).0, ["1", "22"]);

    // The second item used up its own length in advance.
    pair.host.grant(call, HEADER + 1);
    pair.carry();
    assert!(!pair.worker.has_credit(call));
    pair.host.grant(call, 1);
    pair.carry();
    pair.worker.item(call, b"3").expect("credit");
    pair.carry();
    assert_eq!(items(&mut pair).0, ["3"]);
}

#[test]
fn an_item_without_credit_condemns_the_worker() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1);
    pair.worker.item(call, b"1").expect("credit");
    let item = pair.worker.output().to_vec();
    assert_eq!(pair.deliver(&item), Ok(()));
    let call = call.get();
    let without = Err(ProtocolError::WithoutCredit { call });
    assert_eq!(pair.deliver(&item), without);
    assert_eq!(pair.host.take_in_flight().len(), 1);
}

#[test]
fn a_value_for_a_stream_and_an_item_for_a_value_condemn_the_worker() {
    let wrong = |result| matches!(result, Err(ProtocolError::WrongAnswer { .. }));
    for (is_stream, kinds) in [(true, &[0x84][..]), (false, &[0x86, 0x87])] {
        for kind in kinds {
            let mut pair = Pair::ready();
            let call = if is_stream {
                pair.stream(7, 99)
            } else {
                pair.call(7)
            };
            let answer = frame(*kind, 0, call.get(), b"");
            assert!(wrong(pair.deliver(&answer)), "{kind:#x}");
            let left = pair.host.take_in_flight();
            assert_eq!(
                left.iter().map(|entry| entry.token).collect::<Vec<_>>(),
                [7]
            );
        }
    }
}

#[test]
fn a_worker_cannot_answer_in_the_wrong_way() {
    let mut pair = Pair::ready();
    let (stream, value) = (pair.stream(7, 99), pair.call(8));
    let wrong = |call| Err(AnswerError::WrongAnswer { call });
    assert_eq!(pair.worker.reply(stream, b"1"), wrong(stream));
    assert_eq!(pair.worker.item(value, b"1"), wrong(value));
    assert_eq!(pair.worker.end(value), wrong(value));
    pair.worker.end(stream).expect("it waits");
    let ended = Err(AnswerError::NotWaiting { call: stream });
    assert_eq!(pair.worker.item(stream, b"1"), ended);
    assert_eq!(pair.worker.end(stream), ended);
}

#[test]
fn an_item_over_the_limit_is_refused_and_the_stream_can_still_fail() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 99);
    let refused = pair.worker.item(call, &[b'1'; 5000]);
    assert!(matches!(refused, Err(AnswerError::TooLarge { .. })));
    let error = RemoteError::new(Status::TooLarge, "too_large", "5012 bytes");
    pair.worker.error(call, &error).expect("it still waits");
    pair.carry();
    assert!(matches!(items(&mut pair).1, Some(HostEvent::Failed { .. })));
}

#[test]
fn whether_a_stream_is_wanted_is_checked_before_a_byte_is_written() {
    let mut pair = Pair::ready();
    let before = pair.host.output_len();
    let name = "generate".to_owned();
    let rejected = pair.host.request(request("generate", b""), 7, pair.now);
    let rejected = rejected.expect_err("it yields a stream");
    assert_eq!(rejected.reason, RequestError::IsStream { name });
    let wants_stream = Request {
        credit: Some(1),
        ..request("classify", b"{}")
    };
    let name = "classify".to_owned();
    let rejected = pair.host.request(wants_stream, 7, pair.now);
    let rejected = rejected.expect_err("it yields no stream");
    assert_eq!(rejected.reason, RequestError::IsNoStream { name });
    assert_eq!(pair.host.output_len(), before);

    let mut pair = Pair::json();
    let before = pair.host.output_len();
    let name = "classify".to_owned();
    let rejected = pair.host.request(wants_stream, 7, pair.now);
    let rejected = rejected.expect_err("the protocol has no streams");
    assert_eq!(rejected.reason, RequestError::NoStreams { name });
    assert_eq!(pair.host.output_len(), before);
}

#[test]
fn a_cancelled_stream_gets_no_more_credit_and_still_ends() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1);
    pair.worker.poll_event();
    pair.host.cancel(call, pair.now);
    pair.host.grant(call, 1000);
    pair.carry();
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Cancel { call }));
    assert_eq!(pair.worker.poll_event(), None);
    pair.worker.end(call).expect("it waits");
    pair.carry();
    let end = HostEvent::StreamEnd { call, token: 7 };
    assert_eq!(pair.host.poll_event(), Some(end));
}

#[test]
fn credit_may_cross_the_end_of_its_stream() {
    let mut pair = Pair::ready();
    let call = pair.stream(7, 1);
    pair.worker.poll_event();
    pair.host.grant(call, 5);
    pair.worker.end(call).expect("it waits");
    pair.carry_to_worker(usize::MAX).expect("nothing is wrong");
    assert_eq!(pair.worker.poll_event(), None);
}

#[test]
fn credit_that_is_malformed_condemns_the_host() {
    for body in [&b""[..], b"123", b"12345"] {
        let mut pair = Pair::ready();
        pair.stream(7, 1);
        let bytes = frame(0x88, 0, 1, body);
        pair.worker.input_mut().extend_from_slice(&bytes);
        let result = pair.worker.handle_input(pair.now);
        assert!(matches!(result, Err(ProtocolError::MalformedBody { .. })));
    }
}

#[test]
fn a_stream_whose_credit_was_not_written_yet_counts_as_not_sent_only_with_its_request() {
    let mut pair = Pair::ready();
    let wants_stream = Request {
        credit: Some(1),
        ..request("generate", b"{}")
    };
    let call = pair.host.request(wants_stream, 7, pair.now);
    let call = call.expect("accepted");
    let whole = pair.host.output_len() - (16 + 4);
    pair.carry_to_worker(whole).expect("a good host");
    let left = pair.host.take_in_flight();
    assert_eq!((left[0].call, left[0].sent), (call, true));
}

#[test]
fn a_stream_that_may_go_on_holds_up_nobody_behind_it() {
    // The oldest call is a stream without deadline, the one behind it is late: the worker may be
    // busy with the next item.
    let mut pair = Pair::ready();
    let stream = pair.stream(7, 100);
    let late = Request {
        deadline: stream_until(&pair, Duration::from_millis(100)).deadline,
        ..request("classify", b"{}")
    };
    let late = pair.host.request(late, 8, pair.now).expect("accepted");
    pair.carry();
    pair.advance(Duration::from_secs(60)).expect("only late");
    let expired = HostEvent::Expired { call: late };
    assert_eq!(pair.host.poll_event(), Some(expired));
    assert_eq!(pair.host.poll_event(), None);

    // When its credit is used up, the worker can be stuck in nothing but the late call.
    pair.worker.item(stream, &[b'1'; 100]).expect("credit");
    pair.carry();
    assert_eq!(items(&mut pair).0.len(), 1);
    let due = pair.host.poll_timeout().expect("a call may become overdue");
    assert_eq!(due, pair.now + Duration::from_secs(1));
    pair.advance(Duration::from_secs(1)).expect("only overdue");
    let overdue = HostEvent::Overdue { call: late };
    assert_eq!(pair.host.poll_event(), Some(overdue));
}

#[test]
fn a_stream_that_does_not_end_after_its_deadline_becomes_overdue() {
    let mut pair = Pair::ready();
    let wanted = stream_until(&pair, Duration::from_millis(100));
    let call = pair.host.request(wanted, 7, pair.now).expect("accepted");
    pair.carry();
    pair.advance(Duration::from_millis(100)).expect("only late");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
    let due = pair.host.poll_timeout().expect("it may become overdue");
    pair.advance(due - pair.now).expect("only overdue");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Overdue { call }));
    assert_eq!(pair.host.poll_timeout(), None);
}

#[test]
fn a_stream_that_waits_for_its_reader_is_not_stuck_unless_it_is_to_end() {
    let mut pair = Pair::ready();
    let wanted = stream_until(&pair, Duration::from_millis(100));
    let call = pair.host.request(wanted, 7, pair.now).expect("accepted");
    pair.carry();
    pair.worker.item(call, &[b'1'; 100]).expect("credit");
    pair.carry();
    assert_eq!(items(&mut pair).0.len(), 1);
    pair.advance(Duration::from_secs(60)).expect("only late");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
    pair.advance(Duration::from_secs(60)).expect("it waits");
    assert_eq!(pair.host.poll_event(), None);

    pair.host.cancel(call, pair.now);
    pair.advance(Duration::from_secs(60)).expect("only overdue");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Overdue { call }));
}

#[test]
fn a_stream_that_was_cancelled_and_does_not_end_becomes_overdue() {
    let mut pair = Pair::ready();
    pair.host.interrupts_cancelled();
    let stream = pair.stream(7, 100);
    pair.carry();
    pair.advance(Duration::from_secs(60)).expect("nothing");
    assert_eq!(pair.host.poll_event(), None);
    pair.host.cancel(stream, pair.now);
    pair.advance(Duration::from_secs(1)).expect("only overdue");
    let overdue = HostEvent::Overdue { call: stream };
    assert_eq!(pair.host.poll_event(), Some(overdue));
}
