"""What the codecs carry, and what they refuse."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproc import InvalidBody, InvalidResult, _codec, _codec_json, _codec_msgpack, register_codec
from pyproc._codec import Codec, UnsupportedCodec, codec
from pyproc._core import Core

JSON = {
    "stdlib": Codec("json", _codec_json.encode_stdlib, _codec_json.decode_stdlib, binary=False),
    "best": _codec_json.make(),
}

MSGPACK = {}
for package in (_codec_msgpack._msgspec, _codec_msgpack._ormsgpack, _codec_msgpack._msgpack):
    try:
        MSGPACK[package.__name__] = _codec_msgpack._strict(*package())
    except ImportError:
        pass

try:
    import pyproc_native
except ImportError:
    pass
else:
    JSON["native"], MSGPACK["native"] = Core(pyproc_native).codecs

json_codec = pytest.mark.parametrize("json", JSON.values(), ids=JSON)
msgpack_codec = pytest.mark.parametrize("msgpack", MSGPACK.values(), ids=MSGPACK)

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
finite = scalars | st.floats(allow_nan=False, allow_infinity=False)


def nested(leaves: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )


@json_codec
@given(value=nested(finite))
def test_json_carries_every_plain_value(json: Codec, value: object) -> None:
    assert json.decode(json.encode(value)) == value


@json_codec
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is not JSON: "),
        (b"1 2", "the body is not JSON: "),
        (b"\xff", "the body is not UTF-8 at byte 0"),
        (b'{"a":[1,NaN]}', "$.a[1]: JSON has no NaN"),
        (b"-Infinity", "$: JSON has no -Infinity"),
        (b'[{"a":1,"b":2,"a":1}]', "$[0].a: the key appears twice"),
        (b'{"a" :1,"a"\n:2}', "$.a: the key appears twice"),
        (b'{"a":{"b":1},"c":":","a":2}', "$.a: the key appears twice"),
        (b'{"a":18446744073709551616}', "$.a: this integer lies beyond 64 bits"),
        (b"[-9223372036854775809]", "$[0]: this integer lies beyond 64 bits"),
        (b"9" * 5000, "$: this integer lies beyond 64 bits"),
        (b"[1e999]", "$[0]: this number is too large for a float"),
        (b'["\\ud800"]', "$[0]: this text holds a lone surrogate"),
        (b'{"\\udc00":1}', "$: a key holds a lone surrogate"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b'{"a":' * 100_000, "the body is nested too deeply"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_json_refuses_with_the_place(json: Codec, body: bytes, reason: str) -> None:
    with pytest.raises(InvalidBody) as error:
        json.decode(body)
    assert str(error.value).startswith(reason)


@json_codec
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"1234567890123456789012345"}',
        b"[0.12345678901234567890123, 1e0000002, 18446744073709551615, -9223372036854775808]",
        b'{"url":"http://x:80/?a:b","a\\":":{"b:":":"}, "c" : [ {"d":1} , {"d":2} ] }',
        b'"\\ud83d\\ude00"',
    ],
)
def test_json_accepts_what_only_looks_suspicious(json: Codec, body: bytes) -> None:
    import json as standard

    assert json.decode(body) == standard.loads(body)


@msgpack_codec
@given(value=nested(finite | st.floats(allow_nan=False) | st.binary()))
def test_msgpack_carries_every_plain_value(msgpack: Codec, value: object) -> None:
    assert msgpack.decode(msgpack.encode(value)) == value


@msgpack_codec
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01\x02",
        b"\xc1",
        b"\xa1\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\x01\x02",
        b"\x91\x81\xa1a\x91\x81\x01\x02",
        b"\x91" * 100_000,
        b"\xd4\x05\x00",
        b"\xd6\xff\x00\x00\x00\x01",
        b"\x91\xd4\x05\x00",
        b"\x81\xa1a\xd6\xff\x00\x00\x00\x01",
        b"\x81\xd4\x05\x00\x01",
    ],
    ids=lambda body: body[:8].hex() or "empty",
)
def test_msgpack_refuses(msgpack: Codec, body: bytes) -> None:
    with pytest.raises(InvalidBody):
        msgpack.decode(body)


@msgpack_codec
def test_the_last_of_two_equal_keys_counts_in_msgpack(msgpack: Codec) -> None:
    assert msgpack.decode(b"\x82\xa1a\x01\xa1a\x02") == {"a": 2}


def understood(codec: Codec, body: bytes) -> str:
    """Return what a codec makes of a body, in a form in which nan equals itself."""
    try:
        return repr(codec.decode(body))
    except InvalidBody:
        return "refused"


nearly_json = st.text(st.sampled_from('{}[]":,\\u0d8c3e.+-ntrlEaf 19'), max_size=30).map(str.encode)


@given(body=st.binary(max_size=20) | nearly_json)
def test_all_json_codecs_understand_the_same(body: bytes) -> None:
    assert len({understood(each, body) for each in JSON.values()}) == 1


@given(value=nested(finite))
def test_all_json_codecs_read_what_the_others_write(value: object) -> None:
    for writer in JSON.values():
        for reader in JSON.values():
            assert reader.decode(writer.encode(value)) == value


@given(body=st.binary(max_size=30))
def test_all_msgpack_codecs_understand_the_same(body: bytes) -> None:
    seen = {understood(MSGPACK[name], body) for name in ("_msgspec", "native") if name in MSGPACK}
    assert len(seen) <= 1


@given(value=nested(finite | st.binary()))
def test_all_msgpack_codecs_read_what_the_others_write(value: object) -> None:
    for writer in MSGPACK.values():
        for reader in MSGPACK.values():
            assert reader.decode(writer.encode(value)) == value


def test_a_codec_that_cannot_be_offered_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_codec, "_codecs", {})
    for package in ("msgspec", "ormsgpack", "msgpack"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedCodec) as error:
        codec("msgpack")
    assert f"{sys.executable} -m pip install msgspec" in str(error.value)


def test_a_package_that_is_there_and_cannot_serve_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_codec, "_codecs", {})
    for package in ("msgspec", "msgpack"):
        monkeypatch.setitem(sys.modules, package, None)
    old = ModuleType("ormsgpack")
    vars(old)["__version__"] = "1.2.6"
    monkeypatch.setitem(sys.modules, "ormsgpack", old)
    with pytest.raises(UnsupportedCodec) as error:
        codec("msgpack")
    assert str(error.value).endswith(
        "; ormsgpack is there and cannot serve: version 1.2.6 is older than 1.13"
    )


def test_an_unknown_codec_names_those_that_are_there() -> None:
    with pytest.raises(UnsupportedCodec, match=r"no codec `arrow`, only `json`, `msgpack`"):
        codec("arrow")


def test_a_codec_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_codec, "_codecs", {})
    encode: Callable[[object], bytes] = lambda value: repr(value).encode()  # noqa: E731
    register_codec("repr", encode, lambda body: {"text": body.decode()})
    mine = codec("repr")
    assert mine.encode([1]) == b"[1]"
    assert mine.decode(b"x") == {"text": "x"}
    with pytest.raises(InvalidBody, match=r"codec `repr`: .*utf-8"):
        mine.decode(b"\xff")


def test_what_a_users_codec_cannot_encode_is_the_results_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_codec, "_codecs", {})
    register_codec("none", lambda value: value, lambda body: body)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidResult, match="codec `none`"):
        codec("none").encode("text")
