//! Whatever a host sends and however the worker answers: each request is told once and answered at
//! most once; the worker's own bytes are always well formed; an error is final; and how the host's
//! bytes are cut changes nothing.
//!
//! Input: a byte for the protocol of the well-formed requests (even is binary), then steps, each a
//! byte and its arguments.

#![no_main]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use pyproc_proto::{
    AnswerError, CallId, Decoder, Flags, Kind, LogRecord, Protocol, ProtocolError, RemoteError,
    Status, WorkerConnection, WorkerEvent,
};
use pyproc_proto_fuzz::{
    MAX_FRAME, Script, frame, hello, limits, message, peak_of, pieces, welcome,
};

fuzz_target!(|input: &[u8]| {
    let start = Instant::now();
    let (whole, peak) = peak_of(|| Scene::new(input, start, false).play());
    assert!(peak <= 1024 * input.len() + 512 * 1024, "{peak} bytes");
    assert_eq!(whole, Scene::new(input, start, true).play());
});

/// Longer scripts find nothing that shorter ones do not, and take longer to find it.
const MAX_STEPS: usize = 64;

/// A worker, and what it has been through.
struct Scene<'a> {
    worker: WorkerConnection,
    json: bool,
    in_pieces: bool,
    script: Script<'a>,
    now: Instant,
    last_call: u64,
    told: BTreeSet<CallId>,
    waiting: Vec<CallId>,
    /// Those of all requests that want a stream.
    streams: BTreeSet<CallId>,
    /// Those whose argument has come to its end.
    complete: BTreeSet<CallId>,
    /// How many answers must be in the output: those that were accepted, and those that the
    /// connection gives itself.
    answers: usize,
    /// A `Hello` of the fuzzer's own making may set another limit.
    limit: usize,
    trace: Trace,
}

/// What must not depend on how the bytes were cut.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    events: Vec<WorkerEvent>,
    error: Option<ProtocolError>,
    output: Vec<u8>,
}

impl<'a> Scene<'a> {
    fn new(input: &'a [u8], now: Instant, in_pieces: bool) -> Self {
        let mut script = Script::new(input);
        let json = script.byte() % 2 == 1;
        Self {
            worker: WorkerConnection::new(limits(), now),
            json,
            in_pieces,
            script,
            now,
            last_call: 0,
            told: BTreeSet::new(),
            waiting: Vec::new(),
            streams: BTreeSet::new(),
            complete: BTreeSet::new(),
            answers: 0,
            limit: MAX_FRAME,
            trace: Trace::default(),
        }
    }

    fn play(mut self) -> Trace {
        for _ in 0..MAX_STEPS {
            if self.script.is_over() {
                break;
            }
            self.step();
            self.listen();
            assert_eq!(self.worker.unanswered_len(), self.waiting.len());
        }
        self.trace.output.extend_from_slice(self.worker.output());
        self.check_output();
        self.trace
    }

    fn step(&mut self) {
        match self.script.byte() % 21 {
            0 => {
                let body = serde_json::to_vec(&hello()).expect("plain data");
                self.deliver(&frame(Kind::Hello as u8, 0, 0, 0, &body));
            }
            1 => self.worker.welcome(&welcome()),
            2 => {
                let error = RemoteError::new(Status::StartFailed, "ImportError", "no");
                self.worker.refuse(&error);
            }
            3 => self.request(),
            4 => self.answer(false),
            5 => self.answer(true),
            6 => self.answer_anything(),
            7 => {
                let call = self.script.byte().into();
                self.deliver(&frame(Kind::Cancel as u8, 0, 0, call, b""));
            }
            8 => self.arbitrary(),
            9 => {
                let bytes = self.script.bytes();
                self.deliver(bytes);
            }
            10 => {
                self.now += Duration::from_millis(self.script.byte().into());
                let result = self.worker.handle_timeout(self.now);
                let next = self.worker.poll_timeout();
                assert!(result.is_err() || next.is_none_or(|next| next > self.now));
                self.note(result);
            }
            11 => self.worker.drain(),
            12 => {
                let result = self.worker.handle_eof();
                self.note(result);
            }
            13 => self.worker.log(&LogRecord {
                level: self.script.byte(),
                logger: "iris".to_owned(),
                message: String::from_utf8_lossy(self.script.bytes()).repeat(24),
                call: self.waiting.first().copied(),
            }),
            14 => self.worker.goodbye(),
            15 => self.stream(Flags::WANTS_STREAM),
            16 => {
                let call = self.script.byte().into();
                let bytes = self.script.bytes();
                self.deliver(&frame(Kind::Credit as u8, 0, 0, call, bytes));
            }
            17 => self.stream(Flags::ITEMS_FOLLOW),
            18 => {
                if let Some(call) = CallId::new(self.script.byte().into()) {
                    self.worker.grant(call, 0, self.script.byte().into());
                }
            }
            19 => {
                let call = self.script.byte().into();
                let bytes = self.script.bytes();
                self.deliver(&frame(Kind::StreamItem as u8, 0, 0, call, bytes));
            }
            _ => {
                let call = self.script.byte().into();
                self.deliver(&frame(Kind::StreamEnd as u8, 0, 0, call, b""));
            }
        }
    }

    /// Asks for a stream, or says that one follows.
    fn stream(&mut self, flags: Flags) {
        let body = self.script.bytes();
        if !self.json {
            self.last_call += 1;
            self.deliver(&frame(
                Kind::Request as u8,
                flags.bits(),
                1,
                self.last_call,
                body,
            ));
        }
    }

    fn request(&mut self) {
        let body = self.script.bytes();
        if self.json {
            let id = self.script.byte();
            let body = String::from_utf8_lossy(body);
            let text = format!(r#"{{"id":{id},"method":"f","body":{body}}}"#);
            self.deliver(&message(text.as_bytes()));
        } else {
            self.last_call += 1;
            self.deliver(&frame(Kind::Request as u8, 0, 1, self.last_call, body));
        }
    }

    /// Answers a call that waits, and tries to answer it again.
    fn answer(&mut self, fail: bool) {
        let choice = usize::from(self.script.byte());
        let body = self.script.bytes();
        if self.waiting.is_empty() {
            return;
        }
        let place = choice % self.waiting.len();
        let call = self.waiting[place];
        let before = self.output_len();
        if self.streams.contains(&call) && !fail {
            self.yields(call, place, choice % 4 == 0, body);
            return;
        }
        let result = if fail {
            let message = String::from_utf8_lossy(body).repeat(24);
            let mut error = RemoteError::new(Status::Exception, "ValueError", message);
            error.traceback = (choice % 2 == 0).then(|| "Traceback".repeat(choice));
            self.worker.error(call, &error)
        } else {
            self.worker.reply(call, body)
        };
        if result.is_ok() {
            self.waiting.remove(place);
            if self.output_len() > before {
                self.answers += 1;
            }
            let again = self.worker.reply(call, body);
            assert_eq!(again, Err(AnswerError::NotWaiting { call }));
            return;
        }
        assert_eq!(
            self.output_len(),
            before,
            "a refused answer leaves nothing behind"
        );
        match result {
            Err(AnswerError::TooLarge { bytes, limit }) => assert!(bytes > limit),
            Err(AnswerError::InvalidBody { .. }) => assert!(!fail && self.is_json()),
            other => panic!("{other:?}"),
        }
    }

    /// Sends an item of a stream, or ends it.
    fn yields(&mut self, call: CallId, place: usize, ends: bool, body: &[u8]) {
        let before = self.output_len();
        assert_eq!(
            self.worker.reply(call, body),
            Err(AnswerError::WrongAnswer { call })
        );
        if ends {
            assert_eq!(self.worker.end(call), Ok(()));
            self.waiting.remove(place);
            if self.output_len() > before {
                self.answers += 1;
            }
            let again = self.worker.item(call, body);
            assert_eq!(again, Err(AnswerError::NotWaiting { call }));
            return;
        }
        let has_credit = self.worker.has_credit(call);
        match self.worker.item(call, body) {
            Ok(()) => assert!(has_credit),
            Err(error) => {
                assert_eq!(self.output_len(), before);
                match error {
                    AnswerError::NoCredit { .. } => assert!(!has_credit),
                    AnswerError::TooLarge { bytes, limit } => assert!(bytes > limit),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn answer_anything(&mut self) {
        if let Some(call) = CallId::new(self.script.byte().into()) {
            if !self.waiting.contains(&call) {
                let result = self.worker.reply(call, b"1");
                assert_eq!(result, Err(AnswerError::NotWaiting { call }));
            }
        }
    }

    fn arbitrary(&mut self) {
        if self.json {
            let payload = self.script.bytes();
            self.deliver(&message(payload));
            return;
        }
        let kind = 0x80 | (self.script.byte() & 0x0F);
        let flags = self.script.byte();
        let (index, call) = (self.script.byte().into(), self.script.byte().into());
        let rest = self.script.bytes();
        self.deliver(&frame(kind, flags, index, call, rest));
    }

    fn deliver(&mut self, bytes: &[u8]) {
        for piece in pieces(bytes, self.in_pieces) {
            self.worker.input_mut().extend_from_slice(piece);
            let result = self.worker.handle_input(self.now);
            self.note(result);
        }
    }

    /// An error is final: once there is one, everything gives it again.
    fn note(&mut self, result: Result<(), ProtocolError>) {
        match &self.trace.error {
            Some(error) => assert_eq!(result.as_ref(), Err(error)),
            None => self.trace.error = result.err(),
        }
    }

    fn listen(&mut self) {
        while let Some(event) = self.worker.poll_event() {
            match &event {
                WorkerEvent::Hello(hello) => {
                    self.limit = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
                }
                WorkerEvent::Request {
                    call, wants_stream, ..
                } => {
                    assert!(self.told.insert(*call), "a request was told twice");
                    self.waiting.push(*call);
                    if *wants_stream {
                        self.streams.insert(*call);
                    }
                }
                WorkerEvent::Invalid {
                    call: Some(call), ..
                } => {
                    assert!(self.told.insert(*call), "a request was told twice");
                    self.waiting.push(*call);
                }
                WorkerEvent::Invalid { call: None, .. } => self.answers += 1,
                WorkerEvent::Cancel { call } => assert!(self.waiting.contains(call)),
                WorkerEvent::Item { call, .. } => {
                    assert!(self.waiting.contains(call) && !self.complete.contains(call));
                }
                WorkerEvent::ItemsEnd { call } => {
                    assert!(self.waiting.contains(call) && self.complete.insert(*call));
                }
                WorkerEvent::Credit { call } => {
                    assert!(self.waiting.contains(call) && self.streams.contains(call));
                }
                _ => {}
            }
            self.trace.events.push(event);
        }
    }

    fn output_len(&self) -> usize {
        self.worker.output().len()
    }

    fn is_json(&self) -> bool {
        self.worker.protocol() == Some(Protocol::Json)
    }

    /// What the worker has said is well formed, and answers nothing twice.
    fn check_output(&self) {
        let mut decoder = Decoder::new(self.limit.max(MAX_FRAME));
        decoder.extend(&self.trace.output);
        let mut answered = BTreeSet::new();
        let mut answers = 0;
        if self.is_json() {
            while let Some(payload) = decoder.next_payload().expect("well formed") {
                assert!(payload.len() <= self.limit);
                let value: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
                assert!(value["id"].is_u64() && value["ok"].is_boolean());
                answers += 1;
            }
        } else {
            while let Some(frame) = decoder.next_frame().expect("well formed") {
                let header = frame.header;
                // A pong is as long as its ping, which was within the limit at its time.
                assert!(header.length as usize <= self.limit || header.kind == Kind::Welcome);
                if header.kind == Kind::StreamItem {
                    assert!(!answered.contains(&header.call), "an item after the end");
                }
                let ends = matches!(header.kind, Kind::Reply | Kind::Error | Kind::StreamEnd);
                if header.call != 0 && ends {
                    assert!(answered.insert(header.call), "a call was answered twice");
                    answers += 1;
                }
            }
        }
        assert!(!decoder.is_partial());
        assert_eq!(answers, self.answers);
    }
}
