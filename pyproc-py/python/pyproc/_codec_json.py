"""JSON, strictly: what the two sides could understand differently is refused.

A fast decoder reads every body; it lets some things pass that are refused here. Cheap tests over
the bytes, which never miss one but may suspect a good body, tell when that can be the case. Then,
and when the fast decoder fails, the strict one reads the body again: it is slower, and knows where
the culprit is.
"""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder, JSONEncoder
from math import isfinite

from ._codec import Codec
from ._errors import InvalidBody, InvalidResult
from ._shape import index_segment, key_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1


def make() -> Codec:
    """Return the codec, on msgspec where it is installed."""
    try:
        import msgspec
    except ImportError:
        return Codec("json", encode_stdlib, decode_stdlib, binary=False)
    encode = msgspec.json.Encoder().encode
    parse = msgspec.json.Decoder().decode

    def encode_fast(value: object) -> bytes:
        try:
            return encode(value)
        except Exception as error:
            raise InvalidResult("$", str(error)) from None

    def decode(body: bytes) -> object:
        try:
            value = parse(body)
        except Exception:
            return decode_strictly(body)
        if _may_hold_wide_number(body) or _may_repeat_key(body, value):
            return decode_strictly(body)
        return value

    return Codec("json", encode_fast, decode, binary=False)


def encode_stdlib(value: object) -> bytes:
    """Encode with the standard library alone."""
    try:
        return _encode(value).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidResult("$", str(error)) from None


def decode_stdlib(body: bytes) -> object:
    """Decode with the standard library alone."""
    try:
        value = _parse(str(body, "utf-8"))
    except (ValueError, RecursionError):
        return decode_strictly(body)
    if _may_hold_wide_number(body) or _may_hold_surrogate(body) or _may_repeat_key(body, value):
        return decode_strictly(body)
    return value


def decode_strictly(body: bytes) -> object:
    """Decode, and refuse with the reason and the place.

    Raises `InvalidBody`.
    """
    culprits: list[_Culprit] = []

    def refuse(message: str) -> _Culprit:
        culprits.append(_Culprit(message))
        return culprits[-1]

    def pairs(entries: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(entries)
        if len(result) != len(entries):
            seen = set()
            for key, _ in entries:
                if key in seen:
                    result[key] = refuse("the key appears twice")
                seen.add(key)
        return result

    def integer(text: str) -> int | _Culprit:
        # The length first: Python refuses to convert thousands of digits.
        if len(text) <= 20 and MIN_INT <= int(text) <= MAX_INT:
            return int(text)
        return refuse("this integer lies beyond 64 bits")

    def number(text: str) -> float | _Culprit:
        value = float(text)
        return value if isfinite(value) else refuse("this number is too large for a float")

    decoder = JSONDecoder(
        object_pairs_hook=pairs,
        parse_int=integer,
        parse_float=number,
        parse_constant=lambda text: refuse(f"JSON has no {text}"),
    )
    try:
        value = decoder.decode(str(body, "utf-8"))
        place = _find(value, bool(culprits), _may_hold_surrogate(body))
    except UnicodeDecodeError as error:
        raise InvalidBody(f"the body is not UTF-8 at byte {error.start}") from None
    except JSONDecodeError as error:
        what = "the body is empty" if not body else f"the body is not JSON: {error}"
        raise InvalidBody(what) from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply") from None
    if place is not None:
        raise InvalidBody(place)
    return value


class _Culprit:
    """Stands in a decoded value for something that is refused."""

    def __init__(self, message: str) -> None:
        self.message = message


def _find(value: object, culprits: bool, surrogates: bool) -> str | None:
    """Return the place and the reason of the first thing to refuse, if there is any."""
    if not culprits and not surrogates:
        return None
    pending: list[tuple[str, object]] = [("$", value)]
    while pending:
        path, item = pending.pop()
        if isinstance(item, _Culprit):
            return f"{path}: {item.message}"
        if isinstance(item, str) and _is_broken(item):
            return f"{path}: this text holds a lone surrogate"
        inner: Iterable[tuple[str, object]] = ()
        if isinstance(item, dict):
            if any(map(_is_broken, item)):
                return f"{path}: a key holds a lone surrogate"
            inner = [(path + key_segment(key), each) for key, each in item.items()]
        elif isinstance(item, list):
            inner = [(path + index_segment(index), each) for index, each in enumerate(item)]
        pending.extend(reversed(list(inner)))
    return None


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _may_hold_wide_number(body: bytes) -> bool:
    """Tell whether a number could be beyond 64 bits, or beyond every float."""
    digits = body.translate(_DIGITS)
    return b"0" * 19 in digits or b"0e000" in digits or b"0e+000" in digits


def _may_hold_surrogate(body: bytes) -> bool:
    return b"\\ud" in body or b"\\uD" in body


def _may_repeat_key(body: bytes, value: object) -> bool:
    """Tell whether a map could have lost an entry to another one with the same key."""
    colons = body.count(b":")
    if not colons or (type(value) is dict and len(value) == colons):
        return False
    entries = _count_entries(value)
    # Colons within texts count too, so more of them prove nothing yet.
    return entries != colons and entries != len(_KEY_ENDS(body))


def _count_entries(value: Any) -> int:
    """Return how many entries all maps within `value` have together."""
    count = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            count += len(item)
            item = item.values()
        elif type(item) is not list:
            continue
        kinds = set(map(type, item))
        if dict in kinds or list in kinds:
            pending.extend(item)
    return count


def _refuse_constant(text: str) -> None:
    raise ValueError(text)


_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_KEY_ENDS = re.compile(rb'"[ \t\r\n]*:').findall

_encode: Callable[[object], str] = JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
_parse: Callable[[str], object] = JSONDecoder(parse_constant=_refuse_constant).decode
