//! The golden frames of `testdata/`, which the Python tests read as well.

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{
    Body, CallId, Flags, Frame, FunctionRef, Header, HostConnection, HostEvent, Kind, Limits,
    Metadata, Request, WorkerConnection, WorkerEvent,
};
use serde::Deserialize;
use support::{from_hex, snake_case};

#[derive(Deserialize)]
struct Manifest {
    protocol: u32,
    max_frame: usize,
    frames: Vec<GoldenFrame>,
    invalid_frames: Vec<InvalidFrame>,
    json_messages: Vec<JsonMessage>,
    invalid_json_messages: Vec<JsonMessage>,
}

#[derive(Deserialize)]
struct GoldenFrame {
    name: String,
    hex: String,
    kind: String,
    flags: Vec<String>,
    index: u16,
    call: u64,
    deadline: Option<u64>,
    metadata: Vec<(String, String)>,
    body_text: Option<String>,
    body_hex: Option<String>,
}

#[derive(Deserialize)]
struct InvalidFrame {
    name: String,
    hex: String,
    error: String,
    layer: String,
}

#[derive(Deserialize)]
struct JsonMessage {
    name: String,
    hex: String,
    direction: String,
    id: Option<u64>,
    method: Option<String>,
    ok: Option<bool>,
    body_text: Option<String>,
    status: Option<String>,
    error: Option<String>,
    error_type: Option<String>,
    traceback: Option<String>,
}

const FLAGS: [(Flags, &str); 7] = [
    (Flags::DEADLINE, "DEADLINE"),
    (Flags::METADATA, "METADATA"),
    (Flags::ONE_WAY, "ONE_WAY"),
    (Flags::WANTS_STREAM, "WANTS_STREAM"),
    (Flags::SHARED_MEMORY, "SHARED_MEMORY"),
    (Flags::ERROR_VALUE, "ERROR_VALUE"),
    (Flags::ITEMS_FOLLOW, "ITEMS_FOLLOW"),
];

fn manifest() -> Manifest {
    serde_json::from_str(include_str!("../testdata/frames.json")).expect("the manifest is JSON")
}

fn limits(manifest: &Manifest) -> Limits {
    Limits {
        max_frame: manifest.max_frame,
        ..Limits::default()
    }
}

impl GoldenFrame {
    /// What the manifest says, independently of the bytes but for their number.
    fn described(&self, wire: &[u8]) -> Frame {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.to_string() == self.kind);
        let flag = |name: &String| FLAGS.iter().find(|(_, known)| known == name);
        let mut metadata = Metadata::new();
        for (key, value) in &self.metadata {
            metadata.push(key, value).expect("the pairs fit");
        }
        let body = match (&self.body_text, &self.body_hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(hex)) => from_hex(hex),
            _ => panic!("{} needs one body", self.name),
        };
        Frame {
            header: Header {
                kind: kind.expect("a known kind"),
                flags: self.flags.iter().fold(Flags::NONE, |flags, name| {
                    flags | flag(name).expect("a known flag").0
                }),
                index: self.index,
                call: self.call,
                length: wire.len() as u32 - 4,
            },
            deadline: self.deadline,
            metadata,
            body: body.into(),
        }
    }
}

#[test]
fn the_manifest_is_about_this_version() {
    assert_eq!(manifest().protocol, pyproc_proto::PROTOCOL_VERSION);
}

#[test]
fn every_frame_reads_as_it_is_described_and_writes_back_the_same() {
    let manifest = manifest();
    for golden in &manifest.frames {
        let wire = from_hex(&golden.hex);
        let frame = Frame::parse(wire.clone().into(), manifest.max_frame);
        let frame = frame.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        assert_eq!(frame, golden.described(&wire), "{}", golden.name);
        if golden.name != "request_with_empty_metadata" {
            let mut written = Vec::new();
            frame.encode(&mut written);
            assert_eq!(written, wire, "{}", golden.name);
        }
    }
}

#[test]
fn every_kind_and_every_flag_has_its_golden_frame() {
    let frames = manifest().frames;
    let kinds: BTreeSet<_> = frames.iter().map(|frame| frame.kind.clone()).collect();
    let flags: BTreeSet<_> = frames
        .iter()
        .flat_map(|frame| frame.flags.clone())
        .collect();
    let all_kinds = Kind::ALL.iter().map(Kind::to_string).collect();
    let all_flags = FLAGS.iter().map(|(_, name)| (*name).to_owned()).collect();
    assert_eq!((kinds, flags), (all_kinds, all_flags));
}

#[test]
fn every_invalid_frame_is_refused_for_its_own_reason() {
    let manifest = manifest();
    for invalid in &manifest.invalid_frames {
        assert!(["frame", "kind"].contains(&invalid.layer.as_str()));
        let wire = Bytes::from(from_hex(&invalid.hex));
        let error = Frame::parse(wire, manifest.max_frame).expect_err(&invalid.name);
        assert_eq!(snake_case(&error), invalid.error, "{}", invalid.name);
    }
}

#[test]
fn every_json_request_reads_as_it_is_described() {
    let manifest = manifest();
    for message in of_direction(&manifest.json_messages, "request") {
        let mut worker = WorkerConnection::new(limits(&manifest), Instant::now());
        worker
            .input_mut()
            .extend_from_slice(&from_hex(&message.hex));
        worker.handle_input(Instant::now()).expect(&message.name);
        let Some(WorkerEvent::Request {
            call,
            function,
            body,
            ..
        }) = worker.poll_event()
        else {
            panic!("{} is no request", message.name);
        };
        let method = message.method.clone().expect("a method");
        assert_eq!(function, FunctionRef::Name(method), "{}", message.name);
        assert_eq!(
            body,
            message.body_text.clone().expect("a body"),
            "{}",
            message.name
        );

        worker.reply(call, b"1").expect("it waits for an answer");
        let id = message.id.expect("an id");
        let expected = format!(r#"{{"id":{id},"ok":true,"body":1}}"#);
        assert_eq!(
            &worker.output()[4..],
            expected.as_bytes(),
            "{}",
            message.name
        );
    }
}

#[test]
fn every_invalid_json_request_is_answered_under_its_id_and_the_next_one_is_served() {
    let manifest = manifest();
    for message in of_direction(&manifest.invalid_json_messages, "request") {
        let mut worker = WorkerConnection::new(limits(&manifest), Instant::now());
        worker
            .input_mut()
            .extend_from_slice(&from_hex(&message.hex));
        let good = r#"{"id":77,"method":"f"}"#;
        worker
            .input_mut()
            .extend_from_slice(&(good.len() as u32).to_be_bytes());
        worker.input_mut().extend_from_slice(good.as_bytes());
        worker.handle_input(Instant::now()).expect(&message.name);
        let Some(WorkerEvent::Invalid { call, error }) = worker.poll_event() else {
            panic!("{} is no invalid request", message.name);
        };
        assert_eq!(call.is_some(), message.id.is_some(), "{}", message.name);
        if let Some(call) = call {
            worker.error(call, &error).expect("it waits for an answer");
        }
        let start = format!(r#"{{"id":{},"ok":false,"error":"#, message.id.unwrap_or(0));
        let answer = worker.output()[4..].to_vec();
        assert!(answer.starts_with(start.as_bytes()), "{}", message.name);
        let next = worker.poll_event();
        assert!(
            matches!(next, Some(WorkerEvent::Request { .. })),
            "{}",
            message.name
        );
    }
}

#[test]
fn every_json_reply_reads_as_it_is_described() {
    let manifest = manifest();
    for message in of_direction(&manifest.json_messages, "reply") {
        let id = message.id.expect("an id");
        let event = deliver_reply(&manifest, message, id).expect(&message.name);
        let call = CallId::new(id).expect("ids of replies begin at 1");
        match event {
            HostEvent::Reply {
                call: answered,
                token,
                metadata,
                body,
            } => {
                assert_eq!((message.ok, answered, token), (Some(true), call, id));
                assert_eq!(metadata, None);
                assert_eq!(
                    body,
                    message.body_text.clone().expect("a body"),
                    "{}",
                    message.name
                );
            }
            HostEvent::Failed {
                call: answered,
                token,
                error,
            } => {
                assert_eq!((message.ok, answered, token), (Some(false), call, id));
                assert_eq!(Some(error.status.name()), message.status.as_deref());
                assert_eq!(Some(&error.message), message.error.as_ref());
                assert_eq!(Some(&error.type_name), message.error_type.as_ref());
                assert_eq!(error.traceback, message.traceback);
            }
            other => panic!("{}: {other:?}", message.name),
        }
    }
}

#[test]
fn every_invalid_json_reply_condemns_the_connection() {
    let manifest = manifest();
    for message in of_direction(&manifest.invalid_json_messages, "reply") {
        let refused = deliver_reply(&manifest, message, 1);
        assert_eq!(refused.expect_err(&message.name), "malformed_message");
    }
}

fn of_direction<'a>(
    messages: &'a [JsonMessage],
    direction: &'a str,
) -> impl Iterator<Item = &'a JsonMessage> {
    let chosen: Vec<_> = messages
        .iter()
        .filter(|message| message.direction == direction)
        .collect();
    assert!(!chosen.is_empty());
    chosen.into_iter()
}

/// Makes as many calls as there must be for the reply's id to be in flight, and delivers it.
fn deliver_reply(
    manifest: &Manifest,
    message: &JsonMessage,
    id: u64,
) -> Result<HostEvent<u64>, String> {
    let now = Instant::now();
    let mut host = HostConnection::json(limits(manifest), now);
    for token in 1..=id {
        let request = Request {
            function: "f",
            body: Body::Borrowed(b""),
            deadline: None,
            metadata: &Metadata::new(),
            credit: None,
            has_items: false,
        };
        host.request(request, token, now)
            .expect("it is ready at once");
    }
    host.input_mut().extend_from_slice(&from_hex(&message.hex));
    host.handle_input(now).map_err(|error| snake_case(&error))?;
    Ok(host.poll_event().expect("an event"))
}
