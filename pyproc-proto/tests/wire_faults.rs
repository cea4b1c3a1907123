//! What a worker, or whatever wrote to its socket, can do to the wire. The numbers are those of
//! the catalog of faults that the whole product is tested against; here the state machines are.

mod support;

use std::time::Duration;

use pyproc_proto::{
    CallDeadline, Frame, HostConnection, HostEvent, InFlight, Kind, Limits, Metadata,
    ProtocolError, RemoteError, Request, RequestError, Status, WorkerConnection, WorkerEvent,
};
use support::{Pair, frame, hello, limits, request, welcome};

/// Nothing revives the connection, no call can be made on it, and those that were in flight can
/// still be taken out and judged.
fn assert_condemned(pair: &mut Pair, error: &ProtocolError) {
    let good = frame(0x84, 0, 1, b"1");
    assert_eq!(pair.deliver(&good).as_ref(), Err(error));
    assert_eq!(pair.host.handle_eof().as_ref(), Err(error));
    assert_eq!(pair.host.handle_timeout(pair.now).as_ref(), Err(error));
    assert_eq!(pair.host.poll_timeout(), None);
    let rejected = pair.host.request(request("classify", b"{}"), 99, pair.now);
    let rejected = rejected.expect_err("a condemned connection takes no calls");
    assert_eq!(
        (rejected.token, rejected.reason),
        (99, RequestError::Closed)
    );
}

#[test]
fn fault_28_garbage_instead_of_a_header_condemns_for_good() {
    for garbage in [
        &b"\x00\x00\x00\x20print went to the wrong descriptor"[..],
        b"Segmentation fault (core dumped)",
        &[0; 16],
    ] {
        let mut pair = Pair::ready();
        let call = pair.call(7);
        let error = pair.deliver(garbage).expect_err("garbage");
        assert_eq!(pair.host.poll_event(), None);
        assert_condemned(&mut pair, &error);
        let (token, sent) = (7, true);
        assert_eq!(pair.host.take_in_flight(), [InFlight { call, token, sent }]);
    }
}

#[test]
fn fault_29_a_length_of_four_gigabytes_is_refused_before_any_room_is_made() {
    let mut pair = Pair::ready();
    pair.call(7);
    let error = pair.deliver(&[0xFF; 4]).expect_err("over the limit");
    let (length, limit) = (u32::MAX, 4096);
    assert_eq!(error, ProtocolError::LengthOverLimit { length, limit });
    assert!(pair.host.input_mut().capacity() < 64 * 1024);
}

#[test]
fn fault_29_a_claim_within_the_limit_gets_room_as_its_bytes_arrive() {
    let mut limits = limits();
    limits.max_frame = u32::MAX as usize;
    let mut hello = hello();
    hello.max_frame = u32::MAX.into();
    let now = std::time::Instant::now();
    let mut host = HostConnection::<()>::binary(&hello, limits, now);
    let header = [&[0xF0, 0, 0, 0, 0x8A, 0][..], &[0; 10]].concat();
    host.input_mut().extend_from_slice(&header);
    assert_eq!(host.handle_input(now), Ok(()));
    assert!(host.input_mut().capacity() < 1024 * 1024);
}

#[test]
fn fault_30_a_request_over_the_limit_writes_nothing_and_the_next_one_goes_through() {
    for mut pair in [Pair::ready(), Pair::json()] {
        let body = format!("\"{}\"", "x".repeat(4096));
        let rejected = pair
            .host
            .request(request("classify", body.as_bytes()), 7, pair.now)
            .expect_err("over the limit");
        assert_eq!(rejected.token, 7);
        assert!(matches!(
            rejected.reason,
            RequestError::TooLarge { bytes, limit: 4096 } if bytes > 4096
        ));
        assert_eq!(
            (pair.host.output().len(), pair.host.in_flight_len()),
            (0, 0)
        );
        let call = pair.call(8);
        assert_eq!(call.get(), 1);
    }
}

#[test]
fn fault_30_the_largest_request_that_fits_goes_through() {
    let mut pair = Pair::ready();
    let body = vec![b'1'; 4096 - 12];
    let accepted = pair.host.request(request("classify", &body), 7, pair.now);
    assert!(accepted.is_ok());
    pair.carry();
    assert!(matches!(
        pair.worker.poll_event(),
        Some(WorkerEvent::Request { .. })
    ));
    let rejected = pair.host.request(
        request("classify", &[body, vec![b'1']].concat()),
        8,
        pair.now,
    );
    assert_eq!(
        rejected.expect_err("one byte more").reason,
        RequestError::TooLarge {
            bytes: 4097,
            limit: 4096
        }
    );
}

#[test]
fn fault_31_bytes_where_none_belong_condemn() {
    let mut pair = Pair::ready();
    let error = pair.deliver(&frame(0x8D, 0, 0, b"x")).expect_err("a body");
    let (kind, bytes) = (Kind::Drain, 1);
    assert_eq!(error, ProtocolError::TrailingBytes { kind, bytes });
}

#[test]
fn fault_31_more_or_less_than_the_stated_length_is_no_frame() {
    let mut bytes = frame(0x8A, 0, 0, b"ping");
    bytes.push(0);
    let error = Frame::parse(bytes.clone().into(), 4096).expect_err("a byte too many");
    let kind = Kind::Ping;
    assert_eq!(error, ProtocolError::TrailingBytes { kind, bytes: 1 });
    bytes.truncate(19);
    let error = Frame::parse(bytes.into(), 4096).expect_err("a byte too few");
    assert_eq!(error, ProtocolError::UnexpectedEof { received: 19 });
}

#[test]
fn fault_32_an_answer_to_a_call_that_was_never_made_condemns() {
    let error_body = br#"{"type":"E","message":"m"}"#;
    for answer in [frame(0x84, 0, 2, b"1"), frame(0x85, 1, 2, error_body)] {
        let mut pair = Pair::ready();
        pair.call(7);
        let error = pair.deliver(&answer).expect_err("call 2 was never made");
        assert_eq!(error, ProtocolError::UnknownCall { call: 2 });
        assert_condemned(&mut pair, &error);
        assert_eq!(pair.host.take_in_flight().len(), 1);
    }
}

#[test]
fn fault_32_an_answer_under_no_id_condemns_over_json_too() {
    let mut pair = Pair::json();
    pair.call(7);
    let reply = br#"{"id":0,"ok":false,"error":"cannot parse"}"#;
    let error = pair.deliver(&[&[0, 0, 0, reply.len() as u8], &reply[..]].concat());
    assert_eq!(error, Err(ProtocolError::UnknownCall { call: 0 }));
}

#[test]
fn fault_33_a_second_answer_condemns_and_the_caller_has_the_first() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    let twice = [frame(0x84, 0, 1, b"1"), frame(0x84, 0, 1, b"2")].concat();
    let error = pair.deliver(&twice).expect_err("answered twice");
    assert_eq!(error, ProtocolError::UnknownCall { call: 1 });
    let first = HostEvent::Reply {
        call,
        token: 7,
        metadata: None,
        body: b"1"[..].into(),
    };
    assert_eq!(pair.host.poll_event(), Some(first));
    assert_eq!(pair.host.poll_event(), None);
    assert_condemned(&mut pair, &error);
    assert_eq!(pair.host.take_in_flight(), []);
}

#[test]
fn fault_33_a_broken_error_loses_no_token() {
    let mut pair = Pair::ready();
    pair.call(7);
    let error = pair
        .deliver(&frame(0x85, 1, 1, b"{"))
        .expect_err("no error body");
    assert!(matches!(
        error,
        ProtocolError::MalformedBody {
            kind: Kind::Error,
            ..
        }
    ));
    assert_eq!(pair.host.take_in_flight()[0].token, 7);
}

#[test]
fn fault_34_a_late_answer_meets_its_tombstone_and_ids_go_on() {
    let mut pair = Pair::ready();
    let at = pair.now + Duration::from_millis(100);
    let deadline = Some(CallDeadline { at, wire: 1 });
    let late = Request {
        deadline,
        ..request("classify", b"{}")
    };
    let call = pair.host.request(late, 7, pair.now).expect("accepted");
    pair.carry();
    pair.advance(Duration::from_millis(100))
        .expect("only a call expired");
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Expired { call }));
    pair.host.cancel(call, pair.now);
    assert_eq!(pair.host.token(call), Some(&7));

    pair.carry();
    pair.worker
        .reply(call, b"1")
        .expect("the worker does not know better");
    pair.carry();
    let reply = HostEvent::Reply {
        call,
        token: 7,
        metadata: None,
        body: b"1"[..].into(),
    };
    assert_eq!(pair.host.poll_event(), Some(reply));
    assert_eq!(pair.call(8).get(), 2);
}

#[test]
fn fault_35_a_byte_a_second_does_not_buy_more_time() {
    let mut pair = Pair::ready();
    pair.call(7);
    let reply = frame(0x84, 0, 1, b"12345678");
    let mut result = Ok(());
    let mut delivered = 0;
    for byte in &reply {
        result = pair.deliver(&[*byte]);
        delivered += 1;
        if result.is_ok() {
            result = pair.advance(Duration::from_secs(1));
        }
        if result.is_err() {
            break;
        }
    }
    let timeout = Duration::from_secs(2);
    let received = delivered;
    assert_eq!(
        result,
        Err(ProtocolError::ProgressTimeout { received, timeout })
    );
    assert!(delivered <= 3, "the frame had {delivered} bytes' time");
}

#[test]
fn fault_35_each_frame_has_the_whole_time_however_busy_the_lane_was_before() {
    let mut pair = Pair::ready();
    for token in 0..10 {
        pair.call(token);
    }
    let replies: Vec<_> = (1..=10).map(|call| frame(0x84, 0, call, b"1")).collect();
    pair.deliver(&replies[0][..3]).expect("a beginning");
    for two in replies.windows(2) {
        // The end of one frame and the beginning of the next come together, a second and a half
        // after the one before.
        pair.advance(Duration::from_millis(1500)).expect("in time");
        let bytes = [&two[0][3..], &two[1][..3]].concat();
        pair.deliver(&bytes).expect("in time");
        let due = pair.now + Duration::from_secs(2);
        assert_eq!(pair.host.poll_timeout(), Some(due));
    }
    pair.deliver(&replies[9][3..]).expect("in time");
    assert_eq!(pair.host.poll_timeout(), None);
}

#[test]
fn fault_35_a_worker_catches_a_host_that_drips_in_either_protocol() {
    for start in [&b"\0\0\0\x20\x81"[..], b"\0\0\0\x20{", b"\0"] {
        let mut pair = Pair::binary();
        pair.worker.input_mut().extend_from_slice(start);
        pair.worker
            .handle_input(pair.now)
            .expect("a good beginning");
        pair.now += Duration::from_secs(2);
        let result = pair.worker.handle_timeout(pair.now);
        assert!(
            matches!(result, Err(ProtocolError::ProgressTimeout { .. })),
            "{start:?}"
        );
    }
}

#[test]
fn fault_40_a_mismatch_shows_at_the_handshake_and_not_at_the_first_call() {
    let other = |change: fn(&mut pyproc_proto::Welcome)| {
        let mut welcome = welcome();
        change(&mut welcome);
        let body = serde_json::to_vec(&welcome).expect("plain data");
        let mut pair = Pair::binary();
        let result = pair.deliver(&frame(0x82, 0, 0, &body));
        assert!(!pair.host.is_ready());
        result
    };
    let (ours, theirs) = (1, 2);
    let version = other(|welcome| welcome.protocol = 2);
    assert_eq!(
        version,
        Err(ProtocolError::VersionMismatch { ours, theirs })
    );
    let codec = other(|welcome| welcome.codec = "msgpack".to_owned());
    let (asked, answered) = ("json".to_owned(), "msgpack".to_owned());
    assert_eq!(codec, Err(ProtocolError::CodecMismatch { asked, answered }));
    let twice = other(|welcome| welcome.functions[1].name = "classify".to_owned());
    let name = "classify".to_owned();
    assert_eq!(twice, Err(ProtocolError::DuplicateFunction { name }));
}

#[test]
fn fault_40_a_table_with_more_functions_than_an_index_tells_apart_is_refused() {
    let mut welcome = welcome();
    let function = |number: u32| pyproc_proto::FunctionInfo {
        name: number.to_string(),
        ..Default::default()
    };
    welcome.functions = (0..65_537).map(function).collect();
    let body = serde_json::to_vec(&welcome).expect("plain data");
    let now = std::time::Instant::now();
    let mut host = HostConnection::<()>::binary(&hello(), Limits::default(), now);
    host.input_mut()
        .extend_from_slice(&frame(0x82, 0, 0, &body));
    let count = 65_537;
    let expected = Err(ProtocolError::TooManyFunctions { count });
    assert_eq!(host.handle_input(now), expected);
}

#[test]
fn fault_40_a_worker_refuses_a_version_that_it_does_not_speak_and_says_so() {
    let now = std::time::Instant::now();
    for (body, status) in [
        (&br#"{"protocol":2}"#[..], Status::UnsupportedVersion),
        (
            br#"{"protocol":1,"codec":7,"max_frame":1}"#,
            Status::InvalidHello,
        ),
        (b"hello", Status::InvalidHello),
    ] {
        let mut pair = Pair::binary();
        pair.worker
            .input_mut()
            .extend_from_slice(&frame(0x81, 0, 0, body));
        pair.worker.handle_input(now).expect_err("refused");
        pair.carry_to_host(usize::MAX)
            .expect("a well-formed refusal");
        let event = pair.host.poll_event();
        assert!(
            matches!(&event, Some(HostEvent::Refused(error)) if error.status == status),
            "{event:?}"
        );
    }
}

#[test]
fn fault_40_a_refusal_carries_the_traceback_and_closes() {
    let mut pair = Pair::binary();
    pair.carry();
    let mut error = RemoteError::new(Status::StartFailed, "ImportError", "no numpy");
    error.traceback = Some("Traceback (most recent call last)".to_owned());
    pair.worker.refuse(&error);
    pair.carry();
    assert_eq!(
        pair.host.poll_event(),
        Some(HostEvent::Refused(Box::new(error)))
    );
    let rejected = pair.host.request(request("classify", b""), 7, pair.now);
    assert_eq!(rejected.expect_err("refused").reason, RequestError::Closed);
    assert_eq!(pair.host.poll_timeout(), None);
}

#[test]
fn fault_12_a_worker_that_never_answers_hello_is_given_up() {
    let mut pair = Pair::binary();
    assert_eq!(
        pair.host.poll_timeout(),
        Some(pair.now + Duration::from_secs(5))
    );
    pair.advance(Duration::from_millis(4999))
        .expect("still in time");
    let error = pair
        .advance(Duration::from_millis(1))
        .expect_err("too late");
    let timeout = Duration::from_secs(5);
    assert_eq!(error, ProtocolError::HandshakeTimeout { timeout });
}

#[test]
fn fault_03_a_worker_that_dies_within_a_frame_leaves_no_half_reply() {
    for protocol in [Pair::ready as fn() -> Pair, Pair::json] {
        let mut pair = protocol();
        pair.call(7);
        let reply = frame(0x84, 0, 1, b"12345678");
        pair.deliver(&reply[..18]).expect("a good beginning");
        let error = pair
            .host
            .handle_eof()
            .expect_err("in the middle of a frame");
        assert_eq!(error, ProtocolError::UnexpectedEof { received: 18 });
        assert_eq!(pair.host.poll_event(), None);
        assert_eq!(pair.host.take_in_flight()[0].token, 7);
    }
}

#[test]
fn frames_that_only_a_host_sends_condemn_a_worker_that_sends_them() {
    for (kind, call) in [(0x81, 0), (0x83, 1), (0x89, 1), (0x82, 0), (0x8B, 0)] {
        let mut pair = Pair::ready();
        let error = pair
            .deliver(&frame(kind, 0, call, b""))
            .expect_err("not a worker's");
        assert!(
            matches!(error, ProtocolError::UnexpectedFrame { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn what_was_not_negotiated_condemns_either_side() {
    for flag in [0x10, 0x20] {
        let mut pair = Pair::ready();
        pair.call(7);
        let mut reply = frame(0x84, 0, 1, b"");
        reply[5] = flag;
        let result = pair.deliver(&reply);
        assert!(matches!(result, Err(ProtocolError::NotNegotiated { .. })));
        assert_eq!(pair.host.take_in_flight().len(), 1);
    }
    for flag in [0x04, 0x10] {
        let mut pair = Pair::ready();
        let mut request = frame(0x83, 0, 1, b"");
        request[5] = flag;
        pair.worker.input_mut().extend_from_slice(&request);
        let result = pair.worker.handle_input(pair.now);
        assert!(matches!(result, Err(ProtocolError::NotNegotiated { .. })));
    }
}

#[test]
fn a_pong_must_echo_its_ping_in_order() {
    let mut pair = Pair::ready();
    pair.host.ping();
    pair.host.ping();
    pair.carry();
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Pong));
    assert_eq!(pair.host.poll_event(), Some(HostEvent::Pong));
    pair.host.ping();
    let error = pair
        .deliver(&frame(0x8B, 0, 0, &[9; 8]))
        .expect_err("another body");
    assert!(matches!(
        error,
        ProtocolError::UnexpectedFrame {
            kind: Kind::Pong,
            ..
        }
    ));
}

#[test]
fn a_pong_that_nobody_asked_for_condemns() {
    let mut pair = Pair::ready();
    let first = 1u64.to_be_bytes();
    let error = pair
        .deliver(&frame(0x8B, 0, 0, &first))
        .expect_err("no ping was sent");
    assert!(matches!(
        error,
        ProtocolError::UnexpectedFrame {
            kind: Kind::Pong,
            ..
        }
    ));
}

#[test]
fn a_reused_or_falling_id_condemns_the_host() {
    for second in [1, 2] {
        let mut pair = Pair::ready();
        let requests = [frame(0x83, 0, 2, b""), frame(0x83, 0, second, b"")].concat();
        pair.worker.input_mut().extend_from_slice(&requests);
        let (call, last) = (second, 2);
        let expected = ProtocolError::CallOutOfOrder { call, last };
        assert_eq!(pair.worker.handle_input(pair.now), Err(expected));
    }
}

#[test]
fn fault_43_a_first_length_of_nothing_is_the_same_error_in_any_chunking() {
    let bytes = [0, 0, 0, 0, 0x81];
    let mut errors = [1, bytes.len()].into_iter().map(|size| {
        let mut pair = Pair::binary();
        bytes.chunks(size).find_map(|piece| {
            pair.worker.input_mut().extend_from_slice(piece);
            pair.worker.handle_input(pair.now).err()
        })
    });
    let by_byte = errors.next();
    assert_eq!(by_byte, errors.next());
    assert!(by_byte.flatten().is_some());
}

#[test]
fn a_request_before_the_welcome_condemns_the_host() {
    let mut pair = Pair::binary();
    pair.carry();
    pair.worker
        .input_mut()
        .extend_from_slice(&frame(0x83, 0, 1, b""));
    let result = pair.worker.handle_input(pair.now);
    assert!(matches!(
        result,
        Err(ProtocolError::UnexpectedFrame {
            kind: Kind::Request,
            ..
        })
    ));
    let mut silent = WorkerConnection::new(limits(), pair.now);
    silent
        .input_mut()
        .extend_from_slice(&frame(0x83, 0, 1, b""));
    let result = silent.handle_input(pair.now);
    assert!(matches!(
        result,
        Err(ProtocolError::UnexpectedFrame {
            kind: Kind::Request,
            ..
        })
    ));
}

#[test]
fn a_log_record_arrives_with_its_call_and_an_enormous_one_is_cut() {
    let mut pair = Pair::ready();
    let call = pair.call(7);
    let mut record = pyproc_proto::LogRecord {
        level: 30,
        logger: "iris".to_owned(),
        message: "ü".repeat(5000),
        call: Some(call),
    };
    pair.worker.log(&record);
    pair.carry();
    let Some(HostEvent::Log(cut)) = pair.host.poll_event() else {
        panic!("no record");
    };
    assert!(record.message.starts_with(&cut.message) && !cut.message.is_empty());
    record.message.clone_from(&cut.message);
    assert_eq!(cut, record);
}

#[test]
fn metadata_and_deadline_reach_the_worker() {
    let mut pair = Pair::ready();
    let mut metadata = Metadata::new();
    metadata.push("traceparent", "00-ü").expect("it fits");
    let at = pair.now + Duration::from_secs(1);
    let request = Request {
        deadline: Some(CallDeadline { at, wire: 42 }),
        metadata: &metadata,
        ..request("health", b"{}")
    };
    pair.host.request(request, 7, pair.now).expect("accepted");
    pair.carry();
    let Some(WorkerEvent::Request {
        deadline,
        metadata: seen,
        ..
    }) = pair.worker.poll_event()
    else {
        panic!("no request");
    };
    assert_eq!((deadline, seen), (Some(42), metadata));
}

#[test]
fn metadata_come_back_beside_the_value_and_the_largest_reply_has_room_for_them() {
    let mut pair = Pair::ready();
    let mut metadata = Metadata::new();
    metadata.push("served-by", "gpu-ü").expect("it fits");
    let room = limits().max_frame - 12 - metadata.wire_len();
    for (length, fits) in [(1, true), (room, true), (room + 1, false)] {
        let call = pair.call(7);
        let sent = pair.worker.reply_accompanied(call, &metadata, |body| {
            body.buffer_mut().extend(vec![b'1'; length]);
            Ok::<_, ()>(())
        });
        assert_eq!(sent.is_ok(), fits, "{length}");
        if !fits {
            pair.worker.reply(call, b"1").expect("it still waits");
        }
        pair.carry();
        let Some(HostEvent::Reply {
            metadata: seen,
            body,
            ..
        }) = pair.host.poll_event()
        else {
            panic!("no reply");
        };
        let expected = fits.then(|| Box::new(metadata.clone()));
        assert_eq!(
            (seen, body.len()),
            (expected, if fits { length } else { 1 })
        );
    }
}

#[test]
fn the_json_protocol_leaves_metadata_of_a_reply_out() {
    let mut pair = Pair::json();
    let mut metadata = Metadata::new();
    metadata.push("served-by", "gpu").expect("it fits");
    let call = pair.call(7);
    let sent = pair.worker.reply_accompanied(call, &metadata, |body| {
        body.buffer_mut().push(b'1');
        Ok::<_, ()>(())
    });
    sent.expect("it waits");
    pair.carry();
    let reply = HostEvent::Reply {
        call,
        token: 7,
        metadata: None,
        body: b"1"[..].into(),
    };
    assert_eq!(pair.host.poll_event(), Some(reply));
}
