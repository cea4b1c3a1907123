//! Bodies and results that are malformed, too large, too deep, or more than a codec can carry; the worker goes on.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::future::Future;

use pyproc::{Codec, CodecError, Error, ErrorKind, Fate, Json, Pool, PoolBuilder, Protocol};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{assert_error, pool, scenario};

/// A codec that sends a text, or a list of bytes, as the body that it is, and gives the body of the reply as a text.
#[derive(Debug, Clone)]
struct Verbatim {
    /// What the worker takes the bodies for.
    name: &'static str,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Bytes(Vec<u8>),
    /// No arguments, as the pool itself calls `health`.
    Nothing {},
}

impl Codec for Verbatim {
    fn name(&self) -> &str {
        self.name
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let invalid = |error: serde_json::Error| CodecError::new(error.to_string());
        // What is generic becomes a known type by way of a tree.
        let tree = serde_json::to_value(value).map_err(invalid)?;
        match serde_json::from_value(tree).map_err(invalid)? {
            Body::Text(text) => output.extend_from_slice(text.as_bytes()),
            Body::Bytes(bytes) => output.extend_from_slice(&bytes),
            Body::Nothing {} if self.name == "msgpack" => output.push(0x80),
            Body::Nothing {} => output.extend_from_slice(b"{}"),
        }
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        let text = Value::from(String::from_utf8_lossy(body));
        serde_json::from_value(text).map_err(|error| CodecError::new(error.to_string()))
    }
}

/// A codec under the name of another: the worker sends its bytes as they are, and the host takes them for its own.
#[derive(Debug, Clone)]
struct Taken<C>(C);

impl<C: Codec> Codec for Taken<C> {
    fn name(&self) -> &str {
        "raw"
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        Verbatim { name: "raw" }.encode(value, output)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        self.0.decode(body)
    }
}

/// Runs a test with one worker, which must be the same before and after.
fn with_worker<C: Codec, F: Future<Output = ()>>(
    configure: impl FnOnce(PoolBuilder) -> PoolBuilder<C>,
    test: impl FnOnce(Pool<C>) -> F,
) {
    scenario(async {
        let pool = configure(pool("bad_data.py").workers(1));
        let pool = pool.start().await.unwrap();
        let before = pool.status().workers[0].pid;
        test(pool.clone()).await;
        let after = &pool.status().workers[0];
        assert_eq!((before, 1), (after.pid, after.generation));
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

fn json(pool: PoolBuilder) -> PoolBuilder<Json> {
    pool.codec(Json)
}

/// The call fails, how, and the error names the culprits; the worker answers the next call.
async fn fails<C: Codec>(
    pool: &Pool<C>,
    function: &str,
    argument: impl Serialize,
    kind: ErrorKind,
    fate: Fate,
    culprits: &[&str],
) {
    let error: Error = pool.call::<_, Value>(function, argument).await.unwrap_err();
    assert_error(&error, kind, fate, culprits);
    assert_eq!(error.function(), Some(function));
    assert!(!error.is_retryable(), "{error}");
    assert!(pool.call::<_, Value>("pid", json!({})).await.is_ok());
}

/// Sends bodies of a codec as they are.
mod bodies {
    use super::*;

    /// Asserts that a worker refuses each of these bodies before it runs a function.
    pub(super) fn are_refused<B: Serialize>(codec: &'static str, cases: &[(B, &[&str])]) {
        let verbatim = |pool: PoolBuilder| pool.codec(Verbatim { name: codec });
        with_worker(verbatim, async |pool| {
            for (body, culprits) in cases {
                let error = pool.call::<_, String>("echo", body).await.unwrap_err();
                assert_error(&error, ErrorKind::Codec, Fate::NotStarted, culprits);
                assert_eq!(error.function(), Some("echo"));
                assert!(error.worker().is_some(), "the host refused it: {error}");
                pool.call::<_, String>("pid", json!({})).await.unwrap();
            }
        });
    }

    /// Asserts that the host refuses each of these replies, after the function ran.
    pub(super) fn cannot_be_replies<C: Codec>(codec: C, cases: &[(Vec<u8>, &[&str])]) {
        let taken = |pool: PoolBuilder| pool.codec(Taken(codec));
        with_worker(taken, async |pool| {
            for (body, culprits) in cases {
                let error = pool.call::<_, Value>("echo", body).await.unwrap_err();
                assert_error(&error, ErrorKind::Codec, Fate::Failed, culprits);
                assert_eq!(error.function(), Some("echo"));
            }
        });
    }
}

// JSON that is none.

#[test]
fn malformed_json_is_refused_with_the_place() {
    bodies::are_refused(
        "json",
        &[
            (r#"{"a": 1"#, &["the body is not JSON", "column 8"]),
            ("{'a': 1}", &["the body is not JSON", "column 2"]),
            ("[1, 2,]", &["the body is not JSON"]),
            ("nil", &["the body is not JSON"]),
            ("{} {}", &["the body is not JSON", "Extra data"]),
            ("01", &["the body is not JSON"]),
            ("\"a\nb\"", &["the body is not JSON", "control character"]),
        ],
    );
}

#[test]
fn fault_48_a_body_that_is_not_utf8_is_refused_with_the_place() {
    bodies::are_refused("json", &[(b"\"a\xff\"".to_vec(), &["not UTF-8 at byte 2"])]);
}

#[test]
fn an_empty_body_is_refused() {
    bodies::are_refused(
        "json",
        &[("", &["the body is empty"]), (" ", &["not JSON"])],
    );
}

/// Over the JSON protocol, where a request can leave its body out.
fn json_protocol(pool: PoolBuilder) -> PoolBuilder<Verbatim> {
    let pool = pool.listen().protocol(Protocol::Json);
    pool.codec(Verbatim { name: "json" })
}

#[test]
fn an_absent_body_is_an_empty_map() {
    with_worker(json_protocol, async |pool| {
        for body in ["", "{}"] {
            let answer: String = pool.call("optional", body).await.unwrap();
            assert_eq!(answer, "3", "{body:?}");
            let answer: String = pool.call("echo", body).await.unwrap();
            assert_eq!(answer, "{}", "{body:?}");
        }
    });
}

#[test]
fn a_malformed_body_never_gets_into_a_message_of_the_json_protocol() {
    with_worker(json_protocol, async |pool| {
        for body in [r#"{"a": 1"#, "1}, {\"id\": 2", "[NaN]"] {
            let (kind, fate) = (ErrorKind::Codec, Fate::NotStarted);
            fails(&pool, "echo", body, kind, fate, &["the body is not JSON"]).await;
        }
    });
}

#[test]
fn fault_49_duplicate_keys_are_refused_with_their_path() {
    bodies::are_refused(
        "json",
        &[
            (r#"{"a": 1, "a": 2}"#, &["$.a", "twice"]),
            (r#"[0, {"b": {"c d": 1, "c d": 1}}]"#, &["$[1].b['c d']"]),
        ],
    );
}

#[test]
fn fault_48_a_lone_surrogate_is_refused_with_its_path() {
    bodies::are_refused(
        "json",
        &[
            (r#"{"a": ["\ud800"]}"#, &["$.a[0]", "lone surrogate"]),
            (r#"{"\udfff": 1}"#, &["$", "lone surrogate"]),
        ],
    );
    bodies::cannot_be_replies(Json, &[(br#""\ud800""#.to_vec(), &["$", "hex escape"])]);
    with_worker(json, async |pool| {
        let kind = ErrorKind::InvalidResult;
        let argument = "{'a': ['\\ud800']}";
        let culprits = ["$.a[0]", "lone surrogate"];
        fails(&pool, "result_of", argument, kind, Fate::Failed, &culprits).await;
    });
}

// Numbers.

#[test]
fn fault_46_nan_and_infinity_over_json_are_refused_with_their_path() {
    bodies::are_refused(
        "json",
        &[
            (r#"{"a": [1, NaN]}"#, &["$.a[1]", "JSON has no NaN"]),
            ("-Infinity", &["$", "JSON has no -Infinity"]),
            (r#"{"a": 1e400}"#, &["$.a", "too large for a float"]),
        ],
    );
    bodies::cannot_be_replies(
        Json,
        &[
            (b"[1, NaN]".to_vec(), &["$[1]"]),
            (b"[1e400]".to_vec(), &["$[0]", "number out of range"]),
        ],
    );
    with_worker(json, async |pool| {
        let (kind, fate) = (ErrorKind::Codec, Fate::NotStarted);
        let argument = BTreeMap::from([("a", vec![1.0, f64::NAN])]);
        let culprits = ["argument cannot be encoded", "$.a[1]", "NaN"];
        fails(&pool, "echo", argument, kind, fate, &culprits).await;
        let culprits = ["$", "-inf"];
        fails(&pool, "echo", f64::NEG_INFINITY, kind, fate, &culprits).await;

        let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
        let argument = "{'a': [1.0, float('nan')]}";
        let culprits = ["$.a[1]", "JSON has no nan"];
        fails(&pool, "result_of", argument, kind, fate, &culprits).await;
        let culprits = ["$[0]", "JSON has no inf"];
        fails(&pool, "result_of", "[float('inf')]", kind, fate, &culprits).await;
    });
}

/// Integers about which floats, and integers with a sign, are wrong.
const EXACT: [i128; 8] = [
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    u64::MAX as i128,
    u64::MAX as i128 - 1,
    i64::MAX as i128,
    i64::MIN as i128,
];

async fn integers_are_exact<C: Codec>(pool: Pool<C>) {
    for integer in EXACT {
        let answer: i128 = pool.call("echo", integer).await.unwrap();
        assert_eq!(answer, integer);
        let text: String = pool.call("text_of", integer).await.unwrap();
        assert_eq!(text, integer.to_string());
    }
}

async fn integers_beyond_64_bits_are_refused<C: Codec>(pool: Pool<C>) {
    for (integer, shown) in [
        (1_i128 << 64, "18446744073709551616"),
        (-(1_i128 << 63) - 1, "-9223372036854775809"),
    ] {
        let argument = BTreeMap::from([("a", [integer])]);
        let culprits = ["$.a[0]", shown, "does not fit into 64 bits"];
        let (kind, fate) = (ErrorKind::Codec, Fate::NotStarted);
        fails(&pool, "echo", argument, kind, fate, &culprits).await;

        let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
        let argument = format!("{{'a': [{shown}]}}");
        let culprits = ["$.a[0]", "beyond 64 bits"];
        fails(&pool, "result_of", argument, kind, fate, &culprits).await;
    }
}

#[test]
fn fault_47_integers_at_the_limits_are_exact_over_json() {
    with_worker(json, integers_are_exact);
}

#[test]
fn fault_47_integers_beyond_64_bits_are_refused_over_json() {
    with_worker(json, integers_beyond_64_bits_are_refused);
    let wide = "[0, 18446744073709551616]";
    bodies::are_refused("json", &[(wide, &["$[1]", "beyond 64 bits"])]);
    let culprits = ["$[1]", "18446744073709551616", "does not fit into 64 bits"];
    bodies::cannot_be_replies(Json, &[(wide.into(), &culprits)]);
}

// Bytes.

#[test]
fn fault_48_bytes_over_json_are_refused_with_what_to_do_instead() {
    with_worker(json, async |pool| {
        let (kind, fate) = (ErrorKind::InvalidArgument, Fate::NotStarted);
        let bytes = serde_bytes::Bytes::new(b"\x00\xff");
        let culprits = ["$", "expected bytes, got list", "base64", "MessagePack"];
        fails(&pool, "length_of", bytes, kind, fate, &culprits).await;
        let culprits = ["expected bytes, got str", "base64", "MessagePack"];
        fails(&pool, "length_of", "AP8=", kind, fate, &culprits).await;

        let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
        let culprits = ["$.a", "JSON has no bytes", "base64", "MessagePack"];
        fails(&pool, "result_of", "{'a': b'x'}", kind, fate, &culprits).await;
    });
}

// Keys.

async fn keys_that_are_not_text_are_refused<C: Codec>(pool: Pool<C>) {
    let (kind, fate) = (ErrorKind::Codec, Fate::NotStarted);
    let argument = BTreeMap::from([("a", BTreeMap::from([(7, "x")]))]);
    fails(&pool, "echo", argument, kind, fate, &["$.a", "key"]).await;

    let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
    let culprits = ["$.a", "the key 7 (int) is not text"];
    fails(&pool, "result_of", "{'a': {7: 'x'}}", kind, fate, &culprits).await;
}

#[test]
fn fault_49_keys_that_are_not_text_are_refused_over_json() {
    with_worker(json, keys_that_are_not_text_are_refused);
}

// Depth.

/// A list in a list in a list.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| json!([inner]))
}

async fn depth_is_limited<C: Codec>(pool: Pool<C>) {
    let deepest: Value = pool.call("echo", nested(127)).await.unwrap();
    assert_eq!(deepest, nested(127));

    let (kind, fate) = (ErrorKind::Codec, Fate::NotStarted);
    let culprits = ["argument cannot be encoded", "nested 128 levels deep"];
    fails(&pool, "echo", nested(128), kind, fate, &culprits).await;

    let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
    let argument = "__import__('functools').reduce(lambda v, _: [v], range(127), [])";
    let culprits = ["$[0][0]", "nested deeper than 127 levels"];
    fails(&pool, "result_of", argument, kind, fate, &culprits).await;
}

#[test]
fn fault_44_depth_is_limited_over_json() {
    with_worker(json, depth_is_limited);
}

#[test]
fn fault_44_a_depth_bomb_of_json_is_refused_by_either_side() {
    let bomb = |depth| "[".repeat(depth);
    let closed = |depth| bomb(depth) + &"]".repeat(depth);
    let cases = [bomb(100_000), closed(100_000), "{\"a\":".repeat(100_000)];
    let cases = cases.map(|body| (body, &["the body is nested too deeply"][..]));
    bodies::are_refused("json", &cases);
    let cases = [bomb(100_000), closed(128), "{\"a\":".repeat(100_000)];
    let cases = cases.map(|body| (body.into_bytes(), &["recursion limit"][..]));
    bodies::cannot_be_replies(Json, &cases);
}

// Size.

const MAX_FRAME: usize = 64 * 1024;

async fn size_is_limited<C: Codec>(pool: Pool<C>) {
    let (kind, fate) = (ErrorKind::TooLarge, Fate::NotStarted);
    let culprits = ["request takes", "limit is 65536", "`max_frame`"];
    fails(&pool, "echo", "x".repeat(MAX_FRAME), kind, fate, &culprits).await;

    let fate = Fate::Failed;
    let culprits = ["the reply has 655", "65536", "`max_frame`"];
    fails(&pool, "blob", MAX_FRAME, kind, fate, &culprits).await;

    let fits = MAX_FRAME - 100;
    let answer: String = pool.call("echo", "x".repeat(fits)).await.unwrap();
    assert_eq!(answer.len(), fits);
}

#[test]
fn size_is_limited_over_json() {
    let limited = |pool: PoolBuilder| pool.codec(Json).max_frame(MAX_FRAME);
    with_worker(limited, size_is_limited);
}

#[cfg(feature = "msgpack")]
mod msgpack {
    use std::time::{Duration, Instant};

    use pyproc::MsgPack;
    use support::{Peaks, pid_of};

    use super::*;

    fn msgpack(pool: PoolBuilder) -> PoolBuilder<MsgPack> {
        pool.codec(MsgPack).python(support::python_with_packages())
    }

    #[test]
    fn fault_46_floats_are_exact() {
        with_worker(msgpack, async |pool| {
            for float in [
                f64::INFINITY,
                f64::NEG_INFINITY,
                -0.0,
                f64::MIN_POSITIVE,
                0.1,
            ] {
                let answer: f64 = pool.call("echo", float).await.unwrap();
                assert_eq!(answer.to_bits(), float.to_bits(), "{float}");
            }
            let answer: Vec<f64> = pool.call("echo", [f64::NAN, 1.0]).await.unwrap();
            assert!(answer[0].is_nan());
            let text: String = pool.call("text_of", f64::NAN).await.unwrap();
            assert_eq!(text, "nan");
        });
    }

    #[test]
    fn fault_47_integers_at_the_limits_are_exact() {
        with_worker(msgpack, integers_are_exact);
    }

    #[test]
    fn fault_47_integers_beyond_64_bits_are_refused() {
        with_worker(msgpack, integers_beyond_64_bits_are_refused_by_both);
    }

    async fn integers_beyond_64_bits_are_refused_by_both(pool: Pool<MsgPack>) {
        super::integers_beyond_64_bits_are_refused(pool).await;
    }

    #[test]
    fn fault_48_bytes_stay_bytes() {
        with_worker(msgpack, async |pool| {
            let bytes = serde_bytes::Bytes::new(b"\x00\xff");
            assert_eq!(pool.call::<_, u32>("length_of", bytes).await.unwrap(), 2);
            let answer: serde_bytes::ByteBuf = pool.call("echo", bytes).await.unwrap();
            assert_eq!(answer.as_slice(), b"\x00\xff");
            let text: String = pool.call("text_of", bytes).await.unwrap();
            assert_eq!(text, r"b'\x00\xff'");
        });
    }

    #[test]
    fn fault_49_keys_that_are_not_text_are_refused() {
        with_worker(msgpack, keys_that_are_not_text_are_refused_by_both);
        // A map from 7 to 1.
        let cases: [(_, &[&str]); 1] = [(vec![0x81_u8, 7, 1], &["the key 7", "not text"])];
        bodies::are_refused("msgpack", &cases);
    }

    async fn keys_that_are_not_text_are_refused_by_both(pool: Pool<MsgPack>) {
        super::keys_that_are_not_text_are_refused(pool).await;
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let cases: [(Vec<u8>, &[&str]); 5] = [
            (vec![], &["the body is not MessagePack"]),
            (vec![0xc1], &["the body is not MessagePack"]),
            (vec![0x92, 1], &["the body is not MessagePack"]),
            (vec![1, 2], &["the body is not MessagePack"]),
            // An array that claims to have four billion elements.
            (
                vec![0xdd, 0xff, 0xff, 0xff, 0xff],
                &["the body is not MessagePack"],
            ),
        ];
        bodies::are_refused("msgpack", &cases);
        let cases = cases.map(|(body, _)| (body, &["`echo`", "not of the type asked for"][..]));
        bodies::cannot_be_replies(MsgPack, &cases);
    }

    #[test]
    fn fault_48_text_that_is_not_utf8_is_refused() {
        let cases: [(Vec<u8>, &[&str]); 2] = [
            (vec![0xa1, 0xff], &["the body is not MessagePack"]),
            // A surrogate, encoded as if it were a character.
            (
                b"\xa3\xed\xa0\x80".to_vec(),
                &["the body is not MessagePack"],
            ),
        ];
        bodies::are_refused("msgpack", &cases);
        let cases = cases.map(|(body, _)| (body, &["`echo`", "not of the type asked for"][..]));
        bodies::cannot_be_replies(MsgPack, &cases);
    }

    /// Bodies of a few bytes that claim 2^32 - 1 elements, pairs or bytes.
    fn claims() -> Vec<Vec<u8>> {
        let claim = |tag: u8| [&[tag][..], &[0xff; 4]].concat();
        let claims = [0xdd, 0xdf, 0xdb, 0xc6].map(claim);
        // The same as the element of a list, and of a map.
        let inner = claims.clone().into_iter().flat_map(|claim| {
            [
                [&[0x91][..], &claim].concat(),
                [&[0x81, 0xa1, b'k'][..], &claim].concat(),
            ]
        });
        claims.iter().cloned().chain(inner).collect()
    }

    #[test]
    fn fault_45_five_bytes_that_claim_four_billion_elements_take_no_memory() {
        let rounds = 20;
        let verbatim = |pool: PoolBuilder| pool.codec(Verbatim { name: "msgpack" });
        with_worker(verbatim, async |pool| {
            let worker = pid_of(&pool, 0);
            grows_by_a_mebibyte_at_most(worker, rounds, async || {
                for body in claims() {
                    let error = pool.call::<_, String>("echo", body).await.unwrap_err();
                    let culprits = ["the body is not MessagePack"];
                    assert_error(&error, ErrorKind::Codec, Fate::NotStarted, &culprits);
                    assert!(error.worker().is_some(), "the host refused it: {error}");
                }
            })
            .await;
        });
        let taken = |pool: PoolBuilder| pool.codec(Taken(MsgPack));
        with_worker(taken, async |pool| {
            grows_by_a_mebibyte_at_most(std::process::id(), rounds, async || {
                for body in claims() {
                    let error = pool.call::<_, Value>("echo", body).await.unwrap_err();
                    let culprits = ["not of the type asked for"];
                    assert_error(&error, ErrorKind::Codec, Fate::Failed, &culprits);
                }
            })
            .await;
        });
    }

    /// Asserts that a process needs no more memory for something, when it has done it once.
    async fn grows_by_a_mebibyte_at_most(pid: u32, rounds: u32, mut act: impl AsyncFnMut()) {
        act().await;
        let peaks = Peaks::of([pid]);
        for _ in 0..rounds {
            act().await;
        }
        peaks.assert_grown_by_at_most(1 << 20);
    }

    #[test]
    fn fault_50_colliding_integer_keys_are_refused_at_once() {
        // Multiples of 2^44 collide in a dict's first probes, as far as 64 bits go.
        let count = 100_000_u32;
        let mut body = [&[0xdf][..], &count.to_be_bytes()].concat();
        for key in 0..u64::from(count) {
            body.push(0xcf);
            body.extend_from_slice(&(key << 44).to_be_bytes());
            body.push(1);
        }
        let begin = Instant::now();
        bodies::are_refused("msgpack", &[(body, &["of a map is not text"])]);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn fault_44_depth_is_limited() {
        with_worker(msgpack, super::depth_is_limited);
    }

    #[test]
    fn fault_44_a_depth_bomb_is_refused_by_either_side() {
        let bomb = |depth| vec![0x91_u8; depth];
        let closed = |depth| [bomb(depth), vec![0x90]].concat();
        let cases = [bomb(100_000), closed(100_000)];
        let cases = cases.map(|body| (body, &["the body is nested too deeply"][..]));
        bodies::are_refused("msgpack", &cases);
        let cases = [bomb(100_000), closed(128)];
        let cases = cases.map(|body| (body, &["depth"][..]));
        bodies::cannot_be_replies(MsgPack, &cases);
    }

    #[test]
    fn size_is_limited() {
        let limited = |pool| msgpack(pool).max_frame(MAX_FRAME);
        with_worker(limited, super::size_is_limited);
    }
}
