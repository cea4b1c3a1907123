//! What values can do to a codec, and bodies to the host. The numbers are those of the catalog of
//! faults. Each test runs for every codec that it applies to.

#[cfg(feature = "msgpack")]
#[path = "support/counting.rs"]
mod counting;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use proptest::prelude::*;
#[cfg(feature = "msgpack")]
use pyproc_proto::MsgPack;
use pyproc_proto::{Codec, CodecError, DefaultCodec, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Runs a check with each codec.
macro_rules! for_each_codec {
    ($check:ident) => {
        $check(&Json);
        $check(&DefaultCodec::default());
        #[cfg(feature = "msgpack")]
        $check(&MsgPack);
    };
}

fn encode<T: Serialize + ?Sized>(codec: &impl Codec, value: &T) -> Vec<u8> {
    let mut body = b"before".to_vec();
    codec.encode(value, &mut body).expect("it can be encoded");
    body.split_off(6)
}

fn refusal<T: Serialize + ?Sized>(codec: &impl Codec, value: &T) -> CodecError {
    let mut body = b"before".to_vec();
    let error = codec
        .encode(value, &mut body)
        .expect_err("it cannot be encoded");
    assert_eq!(body, b"before", "nothing is left behind");
    error
}

fn same_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(codec: &impl Codec, value: T) {
    let body = encode(codec, &value);
    let again: T = codec
        .decode(&body)
        .expect("what was encoded can be decoded");
    assert_eq!(again, value);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flower {
    petal_length: f64,
    name: String,
    counts: Vec<Option<u32>>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Round,
    Oval(f32),
    Star { points: u8 },
    Pair(i8, i8),
}

fn flower() -> Flower {
    Flower {
        petal_length: 1.4,
        name: "größe".to_owned(),
        counts: vec![Some(1), None],
        shape: Shape::Star { points: 5 },
    }
}

#[test]
fn values_come_back_as_they_were() {
    fn check(codec: &impl Codec) {
        same_again(codec, flower());
        same_again(codec, [Shape::Round, Shape::Oval(0.5), Shape::Pair(-1, 1)]);
        same_again(codec, ());
        same_again(codec, (true, 'ü', -1i8, Some("text".to_owned())));
        same_again(codec, BTreeMap::from([(Key::One, 1), (Key::Two, 2)]));
    }
    for_each_codec!(check);
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    One,
    Two,
}

/// A linked list is as deep as it is long.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep(Vec<Deep>);

impl Deep {
    fn of(levels: usize) -> Self {
        (1..levels).fold(Self(Vec::new()), |inner, _| Self(vec![inner]))
    }
}

#[test]
fn fault_44_a_value_too_deep_is_refused_and_the_deepest_allowed_one_goes_there_and_back() {
    fn check(codec: &impl Codec) {
        same_again(codec, Deep::of(127));
        let error = refusal(codec, &Deep::of(128));
        assert!(error.message().contains("128 levels"), "{error}");
    }
    for_each_codec!(check);
}

#[test]
fn fault_44_bytes_are_a_list_over_json_and_count_as_one() {
    /// Bytes in so many lists.
    struct Wrapped(usize);
    impl Serialize for Wrapped {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => serializer.serialize_bytes(b"x"),
                levels => serializer.collect_seq([Wrapped(levels - 1)]),
            }
        }
    }
    let deepest = encode(&Json, &Wrapped(126));
    assert!(Json.decode::<serde_json::Value>(&deepest).is_ok());
    refusal(&Json, &Wrapped(127));
}

#[test]
fn fault_44_a_depth_bomb_is_refused_and_overflows_no_stack() {
    let bomb = "[".repeat(1_000_000);
    let error = Json.decode::<serde_json::Value>(bomb.as_bytes());
    assert!(error.expect_err("a bomb").message().contains("recursion"));
    let just_too_deep = ["[".repeat(128), "]".repeat(128)].concat();
    assert!(
        Json.decode::<serde_json::Value>(just_too_deep.as_bytes())
            .is_err()
    );
    let error = Json.decode::<serde::de::IgnoredAny>(b"[1");
    assert!(error.is_err());
    #[cfg(feature = "msgpack")]
    {
        let bomb = [0x91; 1_000_000];
        let error = MsgPack.decode::<serde_json::Value>(&bomb);
        assert!(error.expect_err("a bomb").message().contains("depth"));
        let error = MsgPack.decode::<serde_json::Value>(&[&[0x91; 127][..], &[0x90]].concat());
        assert!(
            error
                .expect_err("just too deep")
                .message()
                .contains("depth")
        );
    }
}

#[cfg(feature = "msgpack")]
#[test]
fn fault_45_five_bytes_that_claim_four_billion_items_cost_next_to_nothing() {
    for claim in [
        [0xDC, 0xFF, 0xFF, 0x01, 0x01],
        [0xDE, 0xFF, 0xFF, 0xA0, 0x01],
        [0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
        [0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
        [0xDB, 0xFF, 0xFF, 0xFF, 0xFF],
        [0xC6, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        let peak = counting::peak_of(|| {
            assert!(MsgPack.decode::<Vec<u64>>(&claim).is_err());
            assert!(MsgPack.decode::<HashMap<String, u64>>(&claim).is_err());
            assert!(MsgPack.decode::<String>(&claim).is_err());
            assert!(MsgPack.decode::<serde_json::Value>(&claim).is_err());
            assert!(MsgPack.decode::<serde_bytes::ByteBuf>(&claim).is_err());
        });
        assert!(peak <= 4096, "{peak} bytes for {claim:x?}");
    }
}

#[test]
fn fault_46_json_refuses_what_is_not_finite_and_says_where() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut flower = flower();
        flower.petal_length = bad;
        let error = refusal(&Json, &BTreeMap::from([("flowers", [flower])]));
        assert_eq!(error.path(), Some("$.flowers[0].petal_length"));
        assert_eq!(refusal(&Json, &(bad as f32)).path(), Some("$"));
    }
    let oval = refusal(&Json, &[Shape::Oval(f32::NAN)]);
    assert!(
        oval.path().is_some_and(|path| path.starts_with("$[0]")),
        "{oval}"
    );
    assert!(oval.to_string().contains("NaN"));
    for text in ["NaN", "Infinity", "[-Infinity]", "1e999"] {
        assert!(
            Json.decode::<serde_json::Value>(text.as_bytes()).is_err(),
            "{text}"
        );
    }
}

#[cfg(feature = "msgpack")]
#[test]
fn fault_46_message_pack_carries_every_float_exactly() {
    for bits in [
        0x7FF8_0000_0000_0001,
        f64::INFINITY.to_bits(),
        1,
        (-0.0f64).to_bits(),
    ] {
        let body = encode(&MsgPack, &f64::from_bits(bits));
        let again: f64 = MsgPack.decode(&body).expect("a float");
        assert_eq!(again.to_bits(), bits);
    }
}

#[test]
fn fault_47_integers_are_exact_to_both_ends_of_64_bits() {
    fn check(codec: &impl Codec) {
        same_again(codec, [(1u64 << 53) + 1, u64::MAX, u64::MAX - 1, 0]);
        same_again(codec, [-(1i64 << 53) - 1, i64::MIN, i64::MIN + 1, i64::MAX]);
        same_again(codec, [i128::from(u64::MAX), i128::from(i64::MIN)]);
        same_again(codec, u128::from(u64::MAX));
        for error in [
            refusal(codec, &[i128::from(u64::MAX) + 1]),
            refusal(codec, &[i128::from(i64::MIN) - 1]),
            refusal(codec, &[u128::from(u64::MAX) + 1]),
        ] {
            assert_eq!(error.path(), Some("$[0]"));
            assert!(error.message().contains("64 bits"), "{error}");
        }
    }
    for_each_codec!(check);
}

#[test]
fn fault_47_an_integer_past_64_bits_never_becomes_a_float_in_silence() {
    for text in ["18446744073709551616", "-9223372036854775809"] {
        let body = format!(r#"{{"count":{text}}}"#);
        let body = body.as_bytes();
        for error in [
            Json.decode::<HashMap<String, f64>>(body).expect_err(text),
            Json.decode::<serde_json::Value>(body).expect_err(text),
            Json.decode::<HashMap<String, u64>>(body).expect_err(text),
        ] {
            assert_eq!(error.path(), Some("$.count"));
            assert!(error.message().contains(text));
        }
    }
    let float: f64 = Json
        .decode(b"18446744073709551616.0")
        .expect("written as a float");
    assert_eq!(float, 18_446_744_073_709_551_616.0);
    assert!(Json.decode::<u64>(b"1.0").is_err());
    assert!(Json.decode::<u8>(b"256").is_err());
}

#[test]
fn fault_48_text_that_is_not_unicode_is_refused() {
    for body in [
        &b"\"\xFF\""[..],
        br#""\ud800""#,
        br#""\udc00\ud800""#,
        b"\"\xED\xA0\x80\"",
    ] {
        assert!(Json.decode::<String>(body).is_err());
        assert!(Json.decode::<serde_json::Value>(body).is_err());
    }
    #[cfg(feature = "msgpack")]
    for body in [&[0xA1, 0xFF][..], &[0xA3, 0xED, 0xA0, 0x80]] {
        assert!(MsgPack.decode::<String>(body).is_err());
    }
}

#[cfg(feature = "msgpack")]
#[test]
fn fault_48_bytes_stay_bytes() {
    let bytes = serde_bytes::ByteBuf::from(vec![0xFF, 0, 0xED]);
    assert_eq!(encode(&MsgPack, &bytes), [0xC4, 3, 0xFF, 0, 0xED]);
    same_again(&MsgPack, bytes);
}

#[test]
fn fault_49_a_field_that_occurs_twice_is_refused() {
    let body = br#"{"petal_length":1,"petal_length":2,"name":"","counts":[],"shape":"Round"}"#;
    let error = Json.decode::<Flower>(body).expect_err("twice");
    assert!(error.message().contains("duplicate field `petal_length`"));
    #[cfg(feature = "msgpack")]
    {
        let body = b"\x82\xACpetal_length\x01\xACpetal_length\x02";
        let error = MsgPack.decode::<Flower>(body).expect_err("twice");
        assert!(
            error.message().contains("duplicate field `petal_length`"),
            "{error}"
        );
    }
}

#[test]
fn fault_49_a_key_that_is_no_string_is_refused() {
    fn check(codec: &impl Codec) {
        let error = refusal(
            codec,
            &BTreeMap::from([("counts", BTreeMap::from([(1u32, 2)]))]),
        );
        assert!(
            error
                .path()
                .is_some_and(|path| path.starts_with("$.counts")),
            "{error}"
        );
        assert!(error.message().contains("strings"));
        refusal(codec, &BTreeMap::from([(true, 1)]));
        refusal(codec, &BTreeMap::from([((1, 2), 1)]));
        refusal(codec, &BTreeMap::from([(None::<u8>, 1)]));
    }
    for_each_codec!(check);
}

#[test]
fn a_wrong_type_is_named_with_its_path() {
    fn check(codec: &impl Codec) {
        #[derive(Serialize)]
        struct Other<'a> {
            petal_length: f64,
            name: &'a str,
            counts: [&'a str; 1],
            shape: Shape,
        }
        let other = Other {
            petal_length: 1.4,
            name: "n",
            counts: ["x"],
            shape: Shape::Round,
        };
        let error = codec
            .decode::<Flower>(&encode(codec, &other))
            .expect_err("a string is no number");
        assert!(
            error
                .path()
                .is_some_and(|path| path.starts_with("$.counts[0]")),
            "{error}"
        );
        assert!(error.to_string().starts_with("$.counts[0]"), "{error}");
    }
    for_each_codec!(check);
}

#[test]
fn bytes_after_the_value_are_refused() {
    assert!(Json.decode::<u8>(b"1 ").is_ok());
    for body in [&b"1 2"[..], b"1]", b"{}{}", b"\"a\"\0"] {
        assert!(Json.decode::<serde_json::Value>(body).is_err());
    }
    #[cfg(feature = "msgpack")]
    for body in [
        &[0x01, 0x01][..],
        &[0x01, 0xC1],
        &[0x90, 0x92],
        &[0xC0, 0xC0],
        &[0x80, 0xD9],
    ] {
        let error = MsgPack
            .decode::<serde_json::Value>(body)
            .expect_err("a byte after it");
        assert!(error.message().contains("after the value"), "{error}");
    }
}

#[test]
fn an_empty_body_is_no_value() {
    fn check(codec: &impl Codec) {
        assert!(codec.decode::<()>(b"").is_err());
        assert!(codec.decode::<Option<u8>>(b"").is_err());
    }
    for_each_codec!(check);
}

#[cfg(feature = "msgpack")]
#[test]
fn a_struct_is_a_map_with_the_names_of_its_fields() {
    #[derive(Serialize)]
    struct Point {
        x: u8,
    }
    assert_eq!(encode(&MsgPack, &Point { x: 7 }), b"\x81\xA1x\x07");
    assert_eq!(encode(&MsgPack, &Shape::Round), b"\xA5Round");
}

/// A type that is different each time it is looked at must not make a codec contradict itself.
#[test]
fn a_value_that_fails_only_once_is_still_an_error() {
    struct Moody(Cell<bool>);
    impl Serialize for Moody {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0.replace(false) {
                return Err(serde::ser::Error::custom("not today"));
            }
            serializer.serialize_u8(1)
        }
    }
    fn check(codec: &impl Codec) {
        let error = refusal(codec, &Moody(Cell::new(true)));
        assert_eq!((error.message(), error.path()), ("not today", None));
    }
    for_each_codec!(check);
}

proptest! {
    #[test]
    fn plain_data_comes_back_from_every_codec(value in plain_data()) {
        fn check(codec: &impl Codec, value: &serde_json::Value) {
            let body = encode(codec, value);
            let again: serde_json::Value = codec.decode(&body).expect("it was encoded");
            assert_eq!(&again, value);
        }
        check(&Json, &value);
        check(&DefaultCodec::default(), &value);
    }

    #[test]
    fn no_body_makes_a_codec_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Json.decode::<serde_json::Value>(&body);
        let _ = Json.decode::<Flower>(&body);
        let _ = DefaultCodec::default().decode::<serde_json::Value>(&body);
        let _ = DefaultCodec::default().decode::<Flower>(&body);
    }
}

fn plain_data() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
