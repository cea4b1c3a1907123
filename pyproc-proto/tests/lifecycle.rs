//! A call, and a connection, from the beginning to the end.

mod support;

use std::time::Duration;

use pyproc_proto::{
    AnswerError, CallDeadline, CallId, HostEvent, InFlight, Mode, ProtocolError, RemoteError,
    Request, RequestError, Status, WorkerEvent,
};
use support::{Pair, request};

fn with_deadline(pair: &Pair, after: Duration) -> Request<'static> {
    let at = pair.now + after;
    Request {
        deadline: Some(CallDeadline { at, wire: 1 }),
        ..request("classify", b"{}")
    }
}

#[test]
fn a_call_goes_there_and_back_in_either_protocol() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let call = pair.call(7);
        assert_eq!(pair.host.in_flight_len(), 1);
        pair.worker.reply(call, b"[1]").expect("it waits");
        pair.carry();
        let body = b"[1]"[..].into();
        let reply = HostEvent::Reply {
            call,
            token: 7,
            metadata: None,
            body,
        };
        assert_eq!(pair.host.poll_event(), Some(reply));
        assert_eq!(pair.host.in_flight_len(), 0);
    }
}

#[test]
fn an_exception_goes_back_in_either_protocol() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let call = pair.call(7);
        let mut error = RemoteError::new(Status::Exception, "ValueError", "größe");
        error.traceback = Some("Traceback\n".to_owned());
        pair.worker.error(call, &error).expect("it waits");
        pair.carry();
        let error = Box::new(error);
        let failed = HostEvent::Failed {
            call,
            token: 7,
            error,
        };
        assert_eq!(pair.host.poll_event(), Some(failed));
    }
}

#[test]
fn answers_may_come_in_any_order() {
    let mut pair = Pair::ready();
    let calls = [pair.call(7), pair.call(8), pair.call(9)];
    for (call, token) in [(calls[1], 8), (calls[2], 9), (calls[0], 7)] {
        pair.worker.reply(call, b"1").expect("it waits");
        pair.carry();
        let body = b"1"[..].into();
        let reply = HostEvent::Reply {
            call,
            token,
            metadata: None,
            body,
        };
        assert_eq!(pair.host.poll_event(), Some(reply));
    }
}

#[test]
fn a_worker_cannot_answer_twice_nor_what_was_never_asked() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let call = pair.call(7);
        pair.worker.reply(call, b"1").expect("it waits");
        let error = RemoteError::new(Status::Exception, "E", "m");
        let refused = Err(AnswerError::NotWaiting { call });
        assert_eq!(pair.worker.reply(call, b"1"), refused);
        assert_eq!(pair.worker.error(call, &error), refused);
        let never = CallId::new(99).expect("not 0");
        assert!(pair.worker.reply(never, b"1").is_err());
        pair.carry();
        assert!(matches!(
            pair.host.poll_event(),
            Some(HostEvent::Reply { .. })
        ));
        assert_eq!(pair.host.poll_event(), None);
    }
}

#[test]
fn a_reply_over_the_limit_can_still_be_answered_with_an_error() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let call = pair.call(7);
        let body = format!("\"{}\"", "x".repeat(5000));
        let refused = pair.worker.reply(call, body.as_bytes());
        assert!(matches!(refused, Err(AnswerError::TooLarge { .. })));
        let error = RemoteError::new(Status::TooLarge, "too_large", "5002 bytes");
        pair.worker.error(call, &error).expect("it still waits");
        pair.carry();
        let error = Box::new(error);
        let failed = HostEvent::Failed {
            call,
            token: 7,
            error,
        };
        assert_eq!(pair.host.poll_event(), Some(failed));
    }
}

#[test]
fn an_error_over_the_limit_arrives_with_less_text() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let call = pair.call(7);
        let mut error = RemoteError::new(Status::Exception, "ValueError", "m".repeat(5000));
        error.traceback = Some("t".repeat(5000));
        pair.worker.error(call, &error).expect("it waits");
        pair.carry();
        let Some(HostEvent::Failed { error, .. }) = pair.host.poll_event() else {
            panic!("no error");
        };
        assert_eq!((error.message.len(), &error.traceback), (2500, &None));
        assert_eq!(error.type_name, "ValueError");
    }
}

#[test]
fn a_request_is_not_taken_before_the_handshake_nor_for_a_function_that_is_not_there() {
    let mut pair = Pair::binary();
    let early = pair.host.request(request("classify", b""), 7, pair.now);
    assert_eq!(early.expect_err("too early").reason, RequestError::NotReady);
    let mut pair = Pair::ready();
    let missing = pair.host.request(request("clasify", b""), 7, pair.now);
    let reason = missing.expect_err("missing").reason;
    assert!(reason.to_string().contains("\"clasify\""));
    assert_eq!(pair.host.function("health").map(|index| index.0), Some(1));
}

#[test]
fn a_call_whose_deadline_has_passed_is_never_sent() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let late = with_deadline(&pair, Duration::ZERO);
        let rejected = pair.host.request(late, 7, pair.now).expect_err("late");
        assert_eq!(
            (rejected.token, rejected.reason),
            (7, RequestError::DeadlinePassed)
        );
        assert!(pair.host.output().is_empty());
    }
}

#[test]
fn a_body_that_is_not_json_is_rejected_over_json() {
    let mut pair = Pair::json();
    let rejected = pair
        .host
        .request(request("f", b"\x81\x01\x02"), 7, pair.now);
    let reason = rejected.expect_err("MessagePack").reason;
    assert!(matches!(reason, RequestError::InvalidBody { .. }));
    assert!(pair.host.output().is_empty());
}

#[test]
fn a_call_expires_once_and_is_overdue_once() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let request = with_deadline(&pair, Duration::from_millis(300));
        let call = pair.host.request(request, 7, pair.now).expect("accepted");
        assert_eq!(
            pair.host.poll_timeout(),
            Some(pair.now + Duration::from_millis(300))
        );
        pair.advance(Duration::from_millis(299))
            .expect("nothing yet");
        assert_eq!(pair.host.poll_event(), None);
        pair.advance(Duration::from_millis(1)).expect("expired");
        assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
        let since = Some(pair.now);
        assert_eq!(pair.host.unwanted_since(call), since);
        assert_eq!(
            pair.host.poll_timeout(),
            Some(pair.now + Duration::from_secs(1))
        );
        pair.advance(Duration::from_secs(1)).expect("overdue");
        assert_eq!(pair.host.poll_event(), Some(HostEvent::Overdue { call }));
        assert_eq!(pair.host.unwanted_since(call), since);
        pair.advance(Duration::from_secs(100))
            .expect("nothing more");
        assert_eq!(pair.host.poll_event(), None);
        assert_eq!(pair.host.poll_timeout(), None);
        assert_eq!(pair.host.in_flight_len(), 1);
    }
}

#[test]
fn a_call_in_flight_is_known_by_its_function_and_its_age() {
    let mut pair = Pair::ready();
    assert_eq!(pair.host.oldest(), None);
    let [first, second] = ["health", "classify"].map(|function| {
        let request = request(function, b"{}");
        pair.host.request(request, 7, pair.now).expect("accepted")
    });
    assert_eq!(pair.host.function_of(first), Some("health"));
    assert_eq!(pair.host.function_of(second), Some("classify"));
    assert_eq!(pair.host.oldest(), Some(first));
    pair.carry();
    pair.worker.reply(first, b"1").expect("it waits");
    pair.carry();
    assert_eq!(pair.host.function_of(first), None);
    assert_eq!(pair.host.oldest(), Some(second));

    let mut pair = Pair::json();
    let call = pair.call(7);
    assert_eq!(pair.host.function_of(call), None);
    assert_eq!(pair.host.oldest(), Some(call));
}

#[test]
fn timers_that_are_far_behind_fire_all_the_same_and_in_order() {
    let mut pair = Pair::ready();
    for (token, millis) in [(7, 200), (8, 100), (9, 5000)] {
        let request = with_deadline(&pair, Duration::from_millis(millis));
        pair.host
            .request(request, token, pair.now)
            .expect("accepted");
    }
    pair.advance(Duration::from_secs(2)).expect("late");
    let events: Vec<_> = std::iter::from_fn(|| pair.host.poll_event()).collect();
    let [first, second] = [1, 2].map(|id| CallId::new(id).expect("not 0"));
    let expected = [
        HostEvent::Expired { call: first },
        HostEvent::Overdue { call: first },
        HostEvent::Expired { call: second },
    ];
    assert_eq!(events, expected);
    assert_eq!(
        pair.host.poll_timeout(),
        Some(pair.now + Duration::from_secs(3))
    );
}

/// Calls by their deadlines, answers by what they answer and when, and the call that becomes
/// overdue in the end, and when; all in milliseconds from the beginning. Calls are overdue after
/// a second.
#[test]
fn only_the_oldest_call_becomes_overdue_and_has_its_time_from_when_it_is_the_oldest() {
    const NEVER: u64 = 0;
    type CallAndTime = (usize, u64);
    let cases: [(&[u64], &[CallAndTime], Option<CallAndTime>); 10] = [
        // It runs in time, and those behind it wait.
        (&[60_000, 100], &[], Some((0, 61_000))),
        (&[NEVER, 100], &[], None),
        // The second is late when its turn comes: its time begins then.
        (&[60_000, 100], &[(0, 30_000)], Some((1, 31_000))),
        (&[NEVER, 100], &[(0, 30_000)], Some((1, 31_000))),
        // It is not late yet when its turn comes: its time begins with its deadline.
        (&[60_000, 40_000], &[(0, 30_000)], Some((1, 41_000))),
        // Each of a line has its own time, and one that is answered within it is not overdue.
        (&[100, 100, 100], &[(0, 1_000)], Some((1, 2_000))),
        (
            &[100, 100, 100],
            &[(0, 1_000), (1, 1_999)],
            Some((2, 2_999)),
        ),
        // Answers of younger calls change nothing for the oldest, and are passed over afterwards.
        (&[100, 100, 100], &[(1, 500)], Some((0, 1_100))),
        (
            &[60_000, 100, 100],
            &[(1, 500), (0, 5_000)],
            Some((2, 6_000)),
        ),
        (&[100, 100], &[(1, 500), (0, 900)], None),
    ];
    for (deadlines, answers, expected) in cases {
        for mut pair in [Pair::ready(), Pair::json()] {
            let mut calls = Vec::new();
            for (token, deadline) in (0..).zip(deadlines) {
                let request = match *deadline {
                    NEVER => request("classify", b"{}"),
                    after => with_deadline(&pair, Duration::from_millis(after)),
                };
                let call = pair.host.request(request, token, pair.now);
                calls.push(call.expect("accepted"));
            }
            pair.carry();
            let begin = pair.now;
            let mut answers = answers.iter().peekable();
            let mut overdue = None;
            // What a driver does: it sleeps until an answer arrives or the timer fires.
            while overdue.is_none() {
                let timer = pair.host.poll_timeout();
                let answer = answers
                    .peek()
                    .map(|(_, at)| begin + Duration::from_millis(*at));
                let Some(next) = timer.into_iter().chain(answer).min() else {
                    break;
                };
                if answer == Some(next) {
                    pair.now = next;
                    let (place, _) = answers.next().expect("peeked");
                    pair.worker.reply(calls[*place], b"1").expect("it waits");
                    pair.carry();
                }
                let wait = next - pair.now;
                pair.advance(wait).expect("a good worker");
                while let Some(event) = pair.host.poll_event() {
                    if let HostEvent::Overdue { call } = event {
                        let place = calls.iter().position(|one| *one == call);
                        let millis = (pair.now - begin).as_millis() as u64;
                        overdue = place.map(|place| (place, millis));
                    }
                }
            }
            assert_eq!(overdue, expected, "{deadlines:?} {answers:?}");
        }
    }
}

#[test]
fn a_cancelled_call_tells_the_worker_once_and_stays_until_it_is_answered() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    pair.host.cancel(call, pair.now);
    pair.host.cancel(call, pair.now);
    pair.host.cancel(CallId::new(99).expect("not 0"), pair.now);
    pair.carry();
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Cancel { call }));
    assert_eq!(pair.worker.poll_event(), None);
    assert_eq!(pair.host.in_flight_len(), 1);
    let error = RemoteError::new(Status::Cancelled, "cancelled", "");
    pair.worker.error(call, &error).expect("it waits");
    pair.carry();
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Failed { token: 7, .. })
    ));
}

#[test]
fn a_cancelled_call_becomes_overdue_only_where_the_host_interrupts_such_calls() {
    let second = Duration::from_secs(1);
    for interrupts in [false, true] {
        let mut pair = Pair::ready();
        if interrupts {
            pair.host.interrupts_cancelled();
        }
        let calls = [pair.call(7), pair.call(8)];
        // The one behind it has not had its turn.
        pair.host.cancel(calls[1], pair.now);
        pair.advance(10 * second).expect("nothing");
        assert_eq!(pair.host.poll_event(), None);
        pair.host.cancel(calls[0], pair.now);
        let since = interrupts.then_some(pair.now);
        assert_eq!(pair.host.unwanted_since(calls[0]), since);
        assert_eq!(pair.host.cancelled_since(calls[0]), Some(pair.now));
        assert!(pair.host.has_unwanted());
        assert_eq!(pair.host.poll_timeout(), since.map(|since| since + second));
        pair.advance(second).expect("overdue, perhaps");
        let overdue = interrupts.then_some(HostEvent::Overdue { call: calls[0] });
        assert_eq!(pair.host.poll_event(), overdue);
        pair.advance(10 * second).expect("once");
        assert_eq!(pair.host.poll_event(), None);
    }
}

#[test]
fn a_cancelled_call_is_not_given_more_time_by_its_deadline() {
    let mut pair = Pair::ready();
    pair.host.interrupts_cancelled();
    let request = with_deadline(&pair, Duration::from_millis(300));
    let call = pair.host.request(request, 7, pair.now).expect("accepted");
    pair.host.cancel(call, pair.now);
    let since = Some(pair.now);
    pair.advance(Duration::from_millis(300)).expect("expired");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
    assert_eq!(pair.host.unwanted_since(call), since);
    pair.advance(Duration::from_millis(700)).expect("overdue");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Overdue { call }));
    assert_eq!(pair.host.unwanted_since(call), since);
}

#[test]
fn how_a_worker_runs_a_function_is_told_by_its_table_and_its_threads() {
    use Mode::{Alone, Batch, Concurrent};
    let functions = ["classify", "score", "fetch", "generate", "total"];
    for (threads, expected) in [
        (1, [Alone, Batch, Concurrent, Alone, Alone]),
        (2, [Concurrent, Batch, Concurrent, Alone, Concurrent]),
    ] {
        let mut pair = Pair::with_threads(threads);
        let calls = functions.map(|function| {
            let wanted = Request {
                credit: (function == "generate").then_some(1),
                has_items: function == "total",
                ..request(function, b"{}")
            };
            pair.host.request(wanted, 7, pair.now).expect("accepted")
        });
        assert_eq!(
            calls.map(|call| pair.host.mode_of(call)),
            expected.map(Some)
        );
        let mut modes: Vec<_> = pair.host.calls().collect();
        modes.sort_by_key(|(call, _)| *call);
        assert_eq!(modes, calls.into_iter().zip(expected).collect::<Vec<_>>());
    }
    let mut pair = Pair::json();
    let call = pair.call(7);
    assert_eq!(pair.host.mode_of(call), Some(Alone));
}

#[test]
fn a_call_is_not_overdue_while_the_worker_may_be_busy_with_one_beside_it() {
    for beside in ["fetch", "score"] {
        let mut pair = Pair::ready();
        let late = with_deadline(&pair, Duration::from_millis(100));
        let late = pair.host.request(late, 7, pair.now).expect("accepted");
        let beside = pair.host.request(request(beside, b"{}"), 8, pair.now);
        let beside = beside.expect("accepted");
        assert_eq!(pair.host.oldest(), Some(late));
        pair.carry();
        pair.advance(Duration::from_secs(60)).expect("only late");
        let expired = HostEvent::Expired { call: late };
        assert_eq!(pair.host.poll_event(), Some(expired));
        assert_eq!(pair.host.poll_event(), None);
        pair.worker.reply(beside, b"1").expect("it waits");
        pair.carry();
        assert!(matches!(
            pair.host.poll_event(),
            Some(HostEvent::Reply { .. })
        ));
        pair.advance(Duration::from_secs(1)).expect("only overdue");
        let overdue = HostEvent::Overdue { call: late };
        assert_eq!(pair.host.poll_event(), Some(overdue));
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_harms_nobody() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    pair.worker.reply(call, b"1").expect("it waits");
    pair.host.cancel(call, pair.now);
    pair.carry();
    assert_eq!(pair.worker.poll_event(), None);
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Reply { token: 7, .. })
    ));
}

#[test]
fn a_cancelled_call_expires_and_becomes_overdue_like_any_other() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let request = with_deadline(&pair, Duration::from_millis(300));
        let call = pair.host.request(request, 7, pair.now).expect("accepted");
        pair.host.cancel(call, pair.now);
        pair.advance(Duration::from_millis(300)).expect("expired");
        assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
        pair.advance(Duration::from_secs(1)).expect("overdue");
        assert_eq!(pair.host.poll_event(), Some(HostEvent::Overdue { call }));
    }
}

#[test]
fn a_cancelled_call_without_a_deadline_is_never_overdue() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    pair.host.cancel(call, pair.now);
    pair.advance(Duration::from_secs(1000)).expect("nothing");
    assert_eq!(pair.host.poll_event(), None);
}

#[test]
fn what_the_lane_took_whole_is_sent_and_nothing_else() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let mut lengths = Vec::new();
        for token in 0..3 {
            let before = pair.host.output().len();
            let request = request("classify", b"{}");
            pair.host
                .request(request, token, pair.now)
                .expect("accepted");
            lengths.push(pair.host.output().len() - before);
        }
        pair.host.advance_output(lengths[0]);
        pair.host.advance_output(lengths[1] - 1);
        let taken = pair.host.take_in_flight();
        let sent: Vec<_> = taken
            .iter()
            .map(|InFlight { token, sent, .. }| (*token, *sent))
            .collect();
        assert_eq!(sent, [(0, true), (1, false), (2, false)]);
        assert_eq!(pair.host.take_in_flight(), []);
        assert_eq!(pair.host.poll_timeout(), None);
    }
}

#[test]
fn calls_are_taken_out_in_the_order_of_their_requests() {
    let mut pair = Pair::ready();
    for token in 0..100 {
        pair.call(token);
    }
    let taken = pair.host.take_in_flight();
    assert!(taken.iter().map(|entry| entry.token).eq(0..100));
}

#[test]
fn draining_from_the_host_finishes_what_is_there() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    pair.host.drain();
    let rejected = pair.host.request(request("classify", b""), 8, pair.now);
    assert_eq!(
        rejected.expect_err("draining").reason,
        RequestError::Draining
    );
    pair.carry();
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Drain));
    pair.worker.reply(call, b"1").expect("it waits");
    pair.worker.goodbye();
    pair.carry();
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Reply { .. })
    ));
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Goodbye));
    assert_eq!(pair.host.handle_eof(), Ok(()));
}

#[test]
fn draining_from_the_worker_refuses_what_crosses_it() {
    let mut pair = Pair::ready();
    pair.worker.drain();
    let call = pair.call(7);
    let error = RemoteError::new(Status::Draining, "draining", "");
    pair.worker.error(call, &error).expect("it waits");
    pair.carry();
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Draining));
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Failed { error, .. }) if error.status == Status::Draining
    ));
    assert!(!pair.host.is_ready());
}

#[test]
fn a_goodbye_may_cross_whatever_is_under_way() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    pair.worker.reply(call, b"1").expect("it waits");
    pair.host.goodbye();
    pair.host.goodbye();
    pair.carry_to_host(usize::MAX)
        .expect("a reply that crossed is good");
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Reply { .. })
    ));
    pair.carry();
    assert_eq!(pair.worker.poll_event(), Some(WorkerEvent::Goodbye));

    let mut pair = Pair::ready();
    pair.worker.goodbye();
    pair.host
        .request(request("classify", b""), 7, pair.now)
        .expect("it cannot know");
    pair.carry_to_worker(usize::MAX)
        .expect("a request that crossed is ignored");
    assert_eq!(pair.worker.poll_event(), None);
}

#[test]
fn a_host_that_leaves_before_the_welcome_is_not_disturbed_by_it() {
    let mut pair = Pair::binary();
    pair.carry();
    pair.host.goodbye();
    pair.worker.welcome(&support::welcome());
    pair.carry();
    assert_eq!(pair.host.poll_event(), None);
    assert!(!pair.host.is_ready());
}

#[test]
fn nothing_may_follow_a_goodbye() {
    let mut pair = Pair::ready();
    pair.call(7);
    pair.worker.goodbye();
    pair.carry();
    let reply = [0, 0, 0, 12, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let error = pair.deliver(&reply).expect_err("after the goodbye");
    assert!(matches!(error, ProtocolError::UnexpectedFrame { .. }));
}

#[test]
fn a_person_who_pipes_requests_in_gets_answers_after_the_end_of_input() {
    let mut pair = Pair::json();
    let call = pair.call(7);
    pair.worker.handle_eof().expect("between two messages");
    pair.worker.reply(call, b"1").expect("it waits");
    pair.carry_to_host(usize::MAX).expect("well formed");
    assert!(matches!(
        pair.host.poll_event(),
        Some(HostEvent::Reply { .. })
    ));
}

#[test]
fn ids_of_the_json_protocol_may_repeat_and_be_zero() {
    let mut pair = Pair::json();
    for id in [0, 5, 5] {
        let text = format!(r#"{{"id":{id},"method":"f"}}"#);
        let length = (text.len() as u32).to_be_bytes();
        pair.worker.input_mut().extend_from_slice(&length);
        pair.worker.input_mut().extend_from_slice(text.as_bytes());
    }
    pair.worker.handle_input(pair.now).expect("well formed");
    let mut answers = String::new();
    while let Some(WorkerEvent::Request { call, .. }) = pair.worker.poll_event() {
        pair.worker
            .reply(call, b"1")
            .expect("each waits on its own");
        answers.push_str(&String::from_utf8_lossy(&pair.worker.output()[4..]));
        pair.worker.advance_output(usize::MAX);
    }
    let expected = [0, 5, 5].map(|id| format!(r#"{{"id":{id},"ok":true,"body":1}}"#));
    assert_eq!(answers, expected.concat());
}

#[test]
fn a_worker_serves_a_message_that_begins_with_white_space() {
    for space in [" ", "\t", "\r", "\n"] {
        let mut pair = Pair::binary();
        let text = format!(r#"{space}{{"id":1,"method":"f"}}"#);
        let length = (text.len() as u32).to_be_bytes();
        pair.worker.input_mut().extend_from_slice(&length);
        pair.worker.input_mut().extend_from_slice(text.as_bytes());
        pair.worker.handle_input(pair.now).expect("well formed");
        assert!(matches!(
            pair.worker.poll_event(),
            Some(WorkerEvent::Request { .. })
        ));
    }
}
