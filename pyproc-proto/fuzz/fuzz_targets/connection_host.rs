//! Whatever a worker sends and whenever the host calls, cancels and waits: every call that was
//! accepted ends once, in an event or in what is taken out at the end; the host knows which are in
//! flight, and which of those that stand in the line is the oldest; its own bytes are always well
//! formed; an error is final; and how the worker's bytes are cut changes nothing.
//!
//! Input: a byte for the protocol (even is binary), then steps, each a byte and its arguments.

#![no_main]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use pyproc_proto::{
    CallDeadline, CallId, Decoder, HostConnection, HostEvent, InFlight, ItemError, Kind, Metadata,
    Mode, ProtocolError, Request,
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

/// A host, and what it has been through.
struct Scene<'a> {
    host: HostConnection<u64>,
    json: bool,
    in_pieces: bool,
    script: Script<'a>,
    now: Instant,
    requested: u64,
    /// How each of them is run, and whether it stands in the line.
    modes: Vec<(Mode, bool)>,
    ended: BTreeSet<u64>,
    written: Vec<u8>,
    trace: Trace,
}

/// What must not depend on how the bytes were cut.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    events: Vec<HostEvent<u64>>,
    error: Option<ProtocolError>,
    left: Vec<InFlight<u64>>,
    output: Vec<u8>,
}

impl<'a> Scene<'a> {
    fn new(input: &'a [u8], now: Instant, in_pieces: bool) -> Self {
        let mut script = Script::new(input);
        let json = script.byte() % 2 == 1;
        let host = match json {
            true => HostConnection::json(limits(), now),
            false => HostConnection::binary(&hello(), limits(), now),
        };
        Self {
            host,
            json,
            in_pieces,
            script,
            now,
            requested: 0,
            modes: Vec::new(),
            ended: BTreeSet::new(),
            written: Vec::new(),
            trace: Trace::default(),
        }
    }

    fn play(mut self) -> Trace {
        for _ in 0..MAX_STEPS {
            if self.script.is_over() {
                break;
            }
            self.step();
            self.hear();
        }
        let left = self.host.take_in_flight();
        self.check_ends(&left);
        let written = self.written.len();
        self.written.extend_from_slice(self.host.output());
        self.check_output(written, &left);
        self.trace.left = left;
        self.trace.output = self.written;
        self.trace
    }

    fn step(&mut self) {
        match self.script.byte() % 21 {
            0 => self.request(),
            1 => {
                if let Some(call) = CallId::new(self.script.byte().into()) {
                    self.host.cancel(call, self.now);
                }
            }
            2 => self.host.ping(),
            3 => self.host.drain(),
            4 => self.host.goodbye(),
            5 => self.wait(),
            6 => {
                let taken = self.host.output().len().min(self.script.byte().into());
                self.written.extend_from_slice(&self.host.output()[..taken]);
                self.host.advance_output(taken);
            }
            7 => {
                let body = serde_json::to_vec(&welcome()).expect("plain data");
                self.deliver(&frame(Kind::Welcome as u8, 0, 0, 0, &body));
            }
            8 => self.reply(),
            9 => self.fail(),
            10 => self.arbitrary(),
            11 => {
                let bytes = self.script.bytes();
                self.deliver(bytes);
            }
            12 => {
                let result = self.host.handle_eof();
                self.note(result);
            }
            13 => {
                let number = u64::from(self.script.byte());
                self.deliver(&frame(Kind::Pong as u8, 0, 0, 0, &number.to_be_bytes()));
            }
            14 => {
                let call = self.script.byte().into();
                let body = self.script.bytes();
                self.deliver(&frame(Kind::StreamItem as u8, 0, 0, call, body));
            }
            15 => {
                let call = self.script.byte().into();
                self.deliver(&frame(Kind::StreamEnd as u8, 0, 0, call, b""));
            }
            16 => {
                if let Some(call) = CallId::new(self.script.byte().into()) {
                    self.host.grant(call, self.script.byte().into());
                }
            }
            17 => {
                let call = self.script.byte().into();
                let bytes = self.script.bytes();
                self.deliver(&frame(Kind::Credit as u8, 0, 0, call, bytes));
            }
            18 => self.item(),
            19 => {
                if let Some(call) = CallId::new(self.script.byte().into()) {
                    self.host.end_items(call);
                    let after = self.host.item(call, b"1");
                    assert_eq!(after, Err(ItemError::NotWaiting { call }));
                }
            }
            _ => self.host.interrupts_cancelled(),
        }
    }

    fn request(&mut self) {
        let choice = self.script.byte();
        let body = self.script.bytes();
        let mut metadata = Metadata::new();
        if choice & 0x10 != 0 {
            metadata.push("key", "value").expect("it fits");
        }
        let at = self.now + Duration::from_millis(u64::from(choice >> 5) * 20);
        let request = Request {
            function: ["classify", "health", "missing", "generate"][usize::from(choice & 0x3)],
            body: body.into(),
            deadline: (choice & 0x8 != 0).then_some(CallDeadline { at, wire: 42 }),
            metadata: &metadata,
            credit: (choice & 0x4 != 0).then_some(u32::from(choice)),
            has_items: false,
        };
        // With credit and without a stream of results there would be a mistake in the request, which
        // is made for one function only; for others the choice means another one.
        let request = match (choice & 0x1F, choice & 0x7) {
            (0x16, _) => Request {
                function: "total",
                credit: None,
                has_items: true,
                ..request
            },
            (_, 0x5) => Request {
                function: "fetch",
                credit: None,
                ..request
            },
            (_, 0x6) => Request {
                function: "score",
                credit: None,
                ..request
            },
            _ => request,
        };
        let (mode, is_stream) = (self.mode_of(request.function), request.credit.is_some());
        let before = self.host.output().len();
        match self.host.request(request, self.requested, self.now) {
            Ok(call) => {
                assert!(
                    self.trace.error.is_none(),
                    "a condemned connection takes no calls"
                );
                assert_eq!(self.host.token(call), Some(&self.requested));
                self.requested += 1;
                self.modes.push((mode, mode == Mode::Alone && !is_stream));
                assert_eq!(call.get(), self.requested);
            }
            Err(rejected) => {
                assert_eq!(rejected.token, self.requested);
                assert_eq!(self.host.output().len(), before);
            }
        }
    }

    /// By the table of the worker, which may be one of the fuzzer's own making.
    fn mode_of(&self, name: &str) -> Mode {
        let mut functions = self.host.welcome().into_iter().flat_map(|it| &it.functions);
        match functions.find(|function| function.name == name) {
            Some(function) if function.is_async => Mode::Concurrent,
            Some(function) if function.batch > 0 => Mode::Batch,
            _ => Mode::Alone,
        }
    }

    /// Sends an item of an argument, as far as there is credit.
    fn item(&mut self) {
        let Some(call) = CallId::new(self.script.byte().into()) else {
            return;
        };
        let body = self.script.bytes();
        let (before, credit) = (self.host.output().len(), self.host.credit(call));
        match self.host.item(call, body) {
            Ok(()) => assert!(credit > 0),
            Err(error) => {
                assert_eq!(self.host.output().len(), before);
                match error {
                    ItemError::NotWaiting { .. } => assert_eq!(credit, 0),
                    ItemError::NoCredit { .. } => assert!(credit <= 0),
                    ItemError::TooLarge { bytes, limit } => assert!(bytes > limit),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn wait(&mut self) {
        self.now += Duration::from_millis(u64::from(self.script.byte()));
        let result = self.host.handle_timeout(self.now);
        if result.is_ok() {
            let next = self.host.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "nothing that was due is left"
            );
        }
        self.note(result);
    }

    fn reply(&mut self) {
        let call = self.script.byte().into();
        let body = self.script.bytes();
        if self.json {
            let body = String::from_utf8_lossy(body);
            let text = format!(r#"{{"id":{call},"ok":true,"body":{body}}}"#);
            self.deliver(&message(text.as_bytes()));
        } else {
            self.deliver(&frame(Kind::Reply as u8, 0, 0, call, body));
        }
    }

    fn fail(&mut self) {
        let (call, status) = (self.script.byte().into(), self.script.byte().into());
        if self.json {
            let text = format!(r#"{{"id":{call},"ok":false,"error":"no","error_type":"E"}}"#);
            self.deliver(&message(text.as_bytes()));
        } else {
            let body = br#"{"type":"ValueError","message":"no"}"#;
            self.deliver(&frame(Kind::Error as u8, 0, status, call, body));
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
            self.host.input_mut().extend_from_slice(piece);
            let result = self.host.handle_input(self.now);
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

    fn hear(&mut self) {
        while let Some(event) = self.host.poll_event() {
            if let HostEvent::Item { call, .. } = &event {
                assert!(call.get() <= self.requested);
                assert!(
                    !self.ended.contains(&(call.get() - 1)),
                    "an item after the end"
                );
            }
            if let HostEvent::Reply { token, call, .. }
            | HostEvent::Failed { token, call, .. }
            | HostEvent::StreamEnd { token, call } = &event
            {
                assert_eq!(call.get(), token + 1, "the token of another call");
                assert!(*token < self.requested);
                assert!(self.ended.insert(*token), "a call ended twice");
            }
            self.trace.events.push(event);
        }
        self.check_calls();
    }

    fn check_calls(&self) {
        let open: Vec<_> = (1..=self.requested)
            .zip(&self.modes)
            .filter(|(call, _)| !self.ended.contains(&(call - 1)))
            .map(|(call, (mode, in_line))| (CallId::new(call).expect("not 0"), *mode, *in_line))
            .collect();
        assert_eq!(self.host.in_flight_len(), open.len());
        let mut calls: Vec<_> = self.host.calls().collect();
        calls.sort_by_key(|(call, _)| *call);
        assert!(
            calls
                .into_iter()
                .eq(open.iter().map(|(call, mode, _)| (*call, *mode)))
        );
        // What a condemned connection has read before its error, it has not settled.
        if self.trace.error.is_none() {
            let oldest = open.iter().find(|(_, _, in_line)| *in_line);
            assert_eq!(self.host.oldest(), oldest.map(|(call, ..)| *call));
        }
    }

    fn check_ends(&mut self, left: &[InFlight<u64>]) {
        for entry in left {
            assert!(self.ended.insert(entry.token), "a call ended twice");
        }
        assert_eq!(self.ended.len() as u64, self.requested, "a call was lost");
    }

    /// What the host has said is well formed, and calls count as sent by what the lane took.
    fn check_output(&self, written: usize, left: &[InFlight<u64>]) {
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.extend(&self.written);
        let mut end = 0;
        let mut requests = 0;
        loop {
            let call = if self.json {
                let Some(payload) = decoder.next_payload().expect("well formed") else {
                    break;
                };
                end += 4 + payload.len();
                // The body is the user's own text: a number in it may be too large for a `Value`.
                #[derive(serde::Deserialize)]
                struct Message {
                    id: u64,
                }
                let message: Message = serde_json::from_slice(&payload).expect("JSON");
                Some(message.id)
            } else {
                let Some(frame) = decoder.next_frame().expect("well formed") else {
                    break;
                };
                end += 4 + frame.header.length as usize;
                (frame.header.kind == Kind::Request).then_some(frame.header.call)
            };
            if let Some(call) = call {
                requests += 1;
                assert_eq!(call, requests, "ids count up");
                if let Some(entry) = left.iter().find(|entry| entry.call.get() == call) {
                    assert_eq!(entry.sent, end <= written);
                }
            }
        }
        assert!(!decoder.is_partial());
        assert_eq!(requests, self.requested);
    }
}
