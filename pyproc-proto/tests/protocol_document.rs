//! The tables and the bytes of `docs/protocol.md` are those of the code.

mod support;

use std::collections::BTreeMap;

use pyproc_proto::state_page::{BYTES, MAGIC, Word};
use pyproc_proto::{
    DEFAULT_MAX_FRAME, Flags, Frame, FunctionInfo, HEADER_LEN, Header, Kind, LogRecord,
    PROTOCOL_VERSION, Package, ParameterInfo, Status,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use support::{from_hex, hello, welcome};

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

const FLAGS: [(&str, Flags); 7] = [
    ("DEADLINE", Flags::DEADLINE),
    ("METADATA", Flags::METADATA),
    ("ONE_WAY", Flags::ONE_WAY),
    ("WANTS_STREAM", Flags::WANTS_STREAM),
    ("SHARED_MEMORY", Flags::SHARED_MEMORY),
    ("ERROR_VALUE", Flags::ERROR_VALUE),
    ("ITEMS_FOLLOW", Flags::ITEMS_FOLLOW),
];

#[test]
fn every_kind_stands_in_the_table_with_what_its_frames_may_carry() {
    let rows = table("number | kind |");
    assert_eq!(rows.len(), Kind::ALL.len());
    for (row, kind) in rows.iter().zip(Kind::ALL) {
        assert_eq!(row[0], format!("{:#04X}", kind as u8).replace('X', "x"));
        assert_eq!(row[1], kind.to_string());
        let (with_call, without_call) = (
            accepts(kind, |header| header.call = 7),
            accepts(kind, |header| header.call = 0),
        );
        let call = match (with_call, without_call) {
            (true, true) => "any",
            (true, false) => "call",
            (false, true) => "0",
            (false, false) => panic!("{kind} can have no call id at all"),
        };
        assert_eq!(row[3], call, "{kind}");
        let has_index = accepts(kind, |header| header.index = 1);
        assert_eq!(row[4] != "0", has_index, "{kind}");
        let allowed = FLAGS
            .iter()
            .filter(|(_, flag)| accepts(kind, |header| header.flags = *flag));
        let allowed: Vec<_> = allowed.map(|(name, _)| *name).collect();
        let named = if allowed.is_empty() {
            "none".to_owned()
        } else {
            allowed.join(", ")
        };
        assert_eq!(row[5], named, "{kind}");
        assert_eq!(row[6] == "empty", !takes_a_body(kind), "{kind}");
    }
}

#[test]
fn every_flag_stands_in_the_table() {
    let documented: Vec<_> = table("bit | flag |")
        .iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let known: Vec<_> = FLAGS
        .iter()
        .map(|(name, flag)| (format!("{:#04x}", flag.bits()), (*name).to_owned()))
        .collect();
    assert_eq!(documented, known);
    let all = FLAGS.iter().fold(Flags::NONE, |all, (_, flag)| all | *flag);
    let meaningful = (0..=u8::MAX).filter(|bits| Flags::from_bits(*bits).is_some());
    assert_eq!(meaningful.max(), Some(all.bits()));
}

#[test]
fn every_status_stands_in_the_table() {
    let rows = table("status | name |");
    let known: Vec<_> = (0..=u16::MAX)
        .filter_map(|number| Some((number, Status::from_wire(number)?)))
        .collect();
    assert_eq!(rows.len(), known.len());
    for (row, (number, status)) in rows.iter().zip(known) {
        assert_eq!(
            (&row[0], &row[1]),
            (&number.to_string(), &status.name().to_owned())
        );
        let answers = if status.refuses_handshake() {
            "a handshake"
        } else {
            "a call"
        };
        assert_eq!(row[2], answers, "{status}");
    }
}

#[test]
fn the_keys_of_the_handshake_stand_in_the_tables_with_their_defaults() {
    let tables = tables("key | type | when absent |");
    let [of_hello, of_welcome, of_package, of_function, of_parameter] = &tables[..] else {
        panic!("there are {} tables", tables.len());
    };
    check_keys(of_hello, &hello());
    check_keys(of_welcome, &welcome());
    check_keys(of_package, &Package::default());
    check_keys(of_function, &FunctionInfo::default());
    check_keys(of_parameter, &ParameterInfo::default());
}

#[test]
fn the_words_of_the_state_page_stand_in_the_table() {
    let documented: Vec<_> = table("word | name | written by")
        .iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let known = Word::NAMES.map(|(word, name)| (word.index().to_string(), name.to_owned()));
    assert_eq!(documented, known);
    let magic = MAGIC.to_ne_bytes().map(|byte| format!("{byte:02x}"));
    assert!(DOCUMENT.contains(&format!("`{}`", magic.join(" "))));
    assert!(DOCUMENT.contains(&format!("{BYTES} bytes of shared memory")));
}

#[test]
fn the_keys_of_a_log_record_are_named() {
    let record = LogRecord {
        level: 20,
        logger: String::new(),
        message: String::new(),
        call: None,
    };
    for key in object(&record).keys() {
        assert!(DOCUMENT.contains(&format!("`{key}`, ")), "{key}");
    }
}

#[test]
fn the_version_and_the_default_limit_are_named() {
    assert!(DOCUMENT.contains(&format!("**binary protocol**, version {PROTOCOL_VERSION},")));
    let limit = DEFAULT_MAX_FRAME.to_string();
    let grouped = format!("{},{},{}", &limit[..2], &limit[2..5], &limit[5..]);
    assert!(DOCUMENT.contains(&format!("{grouped} bytes (16 MiB)")));
}

#[test]
fn every_block_of_bytes_is_a_golden_frame() {
    let golden = golden_frames();
    let mut blocks = 0;
    for block in DOCUMENT.split("```hex ").skip(1) {
        let (block, _) = block.split_once("\n```").expect("a block ends");
        let (name, lines) = block.split_once('\n').expect("a block has lines");
        assert_eq!(bytes(lines), golden[name], "{name}");
        blocks += 1;
    }
    assert!(blocks > 10);
}

/// Whether the grammar allows a frame of this kind with this change to its header.
fn accepts(kind: Kind, change: impl Fn(&mut Header)) -> bool {
    // With a call id and without one, because each kind wants its own.
    [0, 7].into_iter().any(|call| {
        let mut header = Header {
            kind,
            flags: Flags::NONE,
            index: 0,
            call,
            length: 12,
        };
        change(&mut header);
        Header::decode(&header.encode(), HEADER_LEN).is_ok()
    })
}

/// Whether a frame of this kind may have a body, tried with the call ids and statuses that kinds want.
fn takes_a_body(kind: Kind) -> bool {
    [(0, 16), (7, 1), (7, 0), (0, 0)]
        .into_iter()
        .any(|(call, index)| {
            let header = Header {
                kind,
                flags: Flags::NONE,
                index,
                call,
                length: 13,
            };
            let mut bytes = header.encode().to_vec();
            bytes.push(b'x');
            Frame::parse(bytes.into(), 64).is_ok()
        })
}

/// Each key of `example` has a row that says truly what it means when it is left out, and no other has one.
fn check_keys<T: Serialize + DeserializeOwned>(rows: &[Vec<String>], example: &T) {
    let whole = object(example);
    let documented: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    let mut known: Vec<_> = whole.keys().map(String::as_str).collect();
    known.sort_by_key(|key| documented.iter().position(|name| name == key));
    assert_eq!(documented, known);
    for row in rows {
        let mut without = whole.clone();
        without.remove(&row[0]);
        let read: Option<T> = serde_json::from_value(Value::Object(without)).ok();
        match (row[2].as_str(), read) {
            ("required", read) => assert!(read.is_none(), "{} is not required", row[0]),
            (default, Some(read)) => {
                let default: Value = serde_json::from_str(default).expect("a default is JSON");
                assert_eq!(object(&read)[&row[0]], default, "{}", row[0]);
            }
            (_, None) => panic!("{} is required", row[0]),
        }
    }
}

fn object(value: &impl Serialize) -> serde_json::Map<String, Value> {
    match serde_json::to_value(value).expect("plain data") {
        Value::Object(entries) => entries,
        other => panic!("{other} is no object"),
    }
}

/// The rows of the one table whose head begins so, without the marks of code.
fn table(head: &str) -> Vec<Vec<String>> {
    let mut found = tables(head);
    assert_eq!(found.len(), 1, "tables with the head {head}");
    found.remove(0)
}

fn tables(head: &str) -> Vec<Vec<Vec<String>>> {
    let head = format!("| {head}");
    let beginnings = DOCUMENT.match_indices(&head);
    let rows = beginnings.map(|(place, _)| {
        DOCUMENT[place..]
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
    });
    rows.map(|lines| lines.map(cells).collect()).collect()
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim_matches('|').split('|');
    row.map(|cell| cell.trim().replace('`', "")).collect()
}

/// The bytes that the lines of a block stand for.
fn bytes(lines: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.lines() {
        if let Some(text) = line.strip_prefix("text ") {
            bytes.extend_from_slice(text.as_bytes());
            continue;
        }
        let is_hex = |word: &&str| word.len() == 2 && u8::from_str_radix(word, 16).is_ok();
        let hex: String = line.split_whitespace().take_while(is_hex).collect();
        assert!(!hex.is_empty(), "{line:?} has no bytes");
        bytes.extend(from_hex(&hex));
    }
    bytes
}

/// The well-formed frames of `testdata/`; messages of the JSON protocol have `json ` before their names.
fn golden_frames() -> BTreeMap<String, Vec<u8>> {
    let file: Value = serde_json::from_str(include_str!("../testdata/frames.json"))
        .expect("the manifest is JSON");
    let mut golden = BTreeMap::new();
    for (list, prefix) in [("frames", ""), ("json_messages", "json ")] {
        for frame in file[list].as_array().expect("a list") {
            let text = |key: &str| frame[key].as_str().expect("a text").to_owned();
            golden.insert(format!("{prefix}{}", text("name")), from_hex(&text("hex")));
        }
    }
    golden
}
