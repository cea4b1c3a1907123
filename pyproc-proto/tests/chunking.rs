//! However the bytes are cut, what comes out is the same (fault 43).

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use pyproc_proto::{
    CallId, Decoder, Flags, Frame, Header, HostEvent, Kind, Metadata, RemoteError, Status,
    WorkerEvent,
};
use support::{Pair, request, welcome};

/// A frame that obeys the grammar of its kind.
fn arbitrary_frame() -> impl Strategy<Value = Frame> {
    let kind = prop::sample::select(Kind::ALL.to_vec());
    let pairs = prop::collection::vec((".{0,6}", ".{0,6}"), 0..3);
    let body = prop::collection::vec(any::<u8>(), 0..300);
    (
        kind,
        1u64..,
        any::<u16>(),
        any::<Option<u64>>(),
        pairs,
        body,
    )
        .prop_map(|(kind, call, index, deadline, pairs, body)| {
            let bare = matches!(
                kind,
                Kind::StreamEnd | Kind::Cancel | Kind::Drain | Kind::Goodbye
            );
            let of_call = matches!(
                kind,
                Kind::Request
                    | Kind::Reply
                    | Kind::Error
                    | Kind::Cancel
                    | Kind::Log
                    | Kind::StreamItem
                    | Kind::StreamEnd
                    | Kind::Credit
            );
            let mut metadata = Metadata::new();
            if matches!(kind, Kind::Request | Kind::Reply | Kind::Error) {
                for (key, value) in pairs {
                    metadata.push(key, value).expect("short pairs fit");
                }
            }
            let header = Header {
                kind,
                flags: Flags::NONE,
                index: match kind {
                    Kind::Request => index,
                    Kind::Error => index % 9 + 1,
                    _ => 0,
                },
                call: if of_call { call } else { 0 },
                length: 0,
            };
            Frame {
                header,
                deadline: deadline.filter(|_| kind == Kind::Request),
                metadata,
                body: if bare { Vec::new() } else { body }.into(),
            }
        })
}

/// What a decoder makes of a stream that arrives in pieces: frames, and perhaps an error.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<String>, bool) {
    let mut decoder = Decoder::new(512);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string()), true),
            }
        }
    }
    (frames, None, decoder.is_partial())
}

/// Cuts bytes at the given places.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #[test]
    fn frames_come_back_whole_from_any_chunking(
        frames in prop::collection::vec(arbitrary_frame(), 1..8),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut wire = Vec::new();
        for frame in &frames {
            frame.encode(&mut wire);
        }
        let (whole, error, partial) = decode(std::iter::once(&wire[..]));
        prop_assert_eq!((&error, partial), (&None, false));
        for (seen, meant) in whole.iter().zip(&frames) {
            prop_assert_eq!(seen.header.kind, meant.header.kind);
            prop_assert_eq!(seen.header.index, meant.header.index);
            prop_assert_eq!(seen.header.call, meant.header.call);
            prop_assert_eq!(seen.deadline, meant.deadline);
            prop_assert_eq!(&seen.metadata, &meant.metadata);
            prop_assert_eq!(&seen.body, &meant.body);
        }
        prop_assert_eq!(whole.len(), frames.len());
        let expected = (whole, error, partial);
        prop_assert_eq!(&decode(cut(&wire, &cuts).into_iter()), &expected);
        prop_assert_eq!(&decode(wire.chunks(1)), &expected);
    }

    #[test]
    fn a_broken_stream_breaks_at_the_same_frame_in_any_chunking(
        frames in prop::collection::vec(arbitrary_frame(), 1..4),
        damage in (any::<Index>(), any::<u8>()),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut wire = Vec::new();
        for frame in &frames {
            frame.encode(&mut wire);
        }
        let (place, byte) = damage;
        let place = place.index(wire.len());
        wire[place] = byte;
        let whole = decode(std::iter::once(&wire[..]));
        prop_assert_eq!(&decode(cut(&wire, &cuts).into_iter()), &whole);
        prop_assert_eq!(&decode(wire.chunks(1)), &whole);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::new(usize::MAX);
        decoder.extend(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
        prop_assert!(decoder.buffer_mut().capacity() <= 512 * 1024);
    }

    #[test]
    fn every_call_ends_once_whatever_the_chunking_of_either_direction(
        json in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut pair = if json { Pair::json() } else { Pair::binary() };
        let mut scene = Scene::default();
        for step in steps {
            scene.play(&mut pair, step);
        }
        // Everything that is still under way arrives, and everything is answered.
        scene.settle(&mut pair);
        prop_assert_eq!(pair.host.in_flight_len(), 0);
        prop_assert!(scene.ends.values().all(|ends| *ends == 1), "{:?}", scene.ends);
        prop_assert_eq!(scene.ends.len(), scene.requested as usize);
    }
}

/// One thing that happens between a host and a worker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Request,
    Cancel(u8),
    Ping,
    ToWorker(u8),
    ToHost(u8),
    Reply,
    Fail,
    Log,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Request),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => Just(Step::Ping),
        4 => any::<u8>().prop_map(Step::ToWorker),
        4 => any::<u8>().prop_map(Step::ToHost),
        2 => Just(Step::Reply),
        1 => Just(Step::Fail),
        1 => Just(Step::Log),
    ]
}

/// What the two of them have been through.
#[derive(Default)]
struct Scene {
    requested: u64,
    waiting: Vec<CallId>,
    ends: BTreeMap<u64, u32>,
}

impl Scene {
    fn play(&mut self, pair: &mut Pair, step: Step) {
        match step {
            Step::Request => {
                let body = format!("[{}]", self.requested);
                let request = request("classify", body.as_bytes());
                let result = pair.host.request(request, self.requested, pair.now);
                if result.is_ok() {
                    self.requested += 1;
                }
            }
            Step::Cancel(call) => {
                if let Some(call) = CallId::new(call.into()) {
                    pair.host.cancel(call, pair.now);
                }
            }
            Step::Ping => pair.host.ping(),
            Step::ToWorker(bytes) => {
                pair.carry_to_worker(bytes.into()).expect("a good host");
                self.listen(pair);
            }
            Step::ToHost(bytes) => {
                pair.carry_to_host(bytes.into()).expect("a good worker");
                self.hear(pair);
            }
            Step::Reply => {
                if let Some(call) = self.waiting.pop() {
                    pair.worker.reply(call, b"null").expect("it waits");
                }
            }
            Step::Fail => {
                if !self.waiting.is_empty() {
                    let error = RemoteError::new(Status::Exception, "ValueError", "no");
                    let call = self.waiting.remove(0);
                    pair.worker.error(call, &error).expect("it waits");
                }
            }
            Step::Log => pair.worker.log(&pyproc_proto::LogRecord {
                level: 20,
                logger: "iris".to_owned(),
                message: "hello".to_owned(),
                call: None,
            }),
        }
    }

    fn listen(&mut self, pair: &mut Pair) {
        while let Some(event) = pair.worker.poll_event() {
            match event {
                WorkerEvent::Hello(_) => pair.worker.welcome(&welcome()),
                WorkerEvent::Request { call, .. } => self.waiting.push(call),
                _ => {}
            }
        }
    }

    fn hear(&mut self, pair: &mut Pair) {
        while let Some(event) = pair.host.poll_event() {
            if let HostEvent::Reply { token, .. } | HostEvent::Failed { token, .. } = event {
                *self.ends.entry(token).or_default() += 1;
            }
        }
    }

    fn settle(&mut self, pair: &mut Pair) {
        while !(pair.host.output().is_empty()
            && pair.worker.output().is_empty()
            && self.waiting.is_empty())
        {
            self.play(pair, Step::ToWorker(u8::MAX));
            self.play(pair, Step::ToHost(u8::MAX));
            self.play(pair, Step::Reply);
        }
    }
}
