"""How bodies become values and values bodies, by the name that a host asks for."""

from __future__ import annotations

import sys

from ._errors import InvalidBody, InvalidResult, PyprocError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[[object], bytes]
    Decode = Callable[[bytes], object]


class UnsupportedCodec(PyprocError):
    """A host asks for a codec that this worker cannot offer. The message says what to do."""


class Codec:
    """One way of encoding bodies."""

    __slots__ = ("accepts_views", "decode", "dump", "encode", "name")

    name: str
    """What a host calls it."""

    accepts_views: bool
    """Whether it decodes a view of bytes without copying them first."""

    dump: Callable[[object], object]
    """Turns the result of a function into what it encodes. Raises `InvalidResult`."""

    encode: Encode
    """Raises `InvalidResult`."""

    decode: Decode
    """Raises `InvalidBody`."""

    def __init__(
        self,
        name: str,
        encode: Encode,
        decode: Decode,
        *,
        binary: bool,
        accepts_views: bool = False,
    ) -> None:
        """`binary` ones carry bytes, nan and infinities."""
        # Whoever only imports the package does without this.
        from ._dump import dump_binary, dump_text

        self.name = name
        self.dump = dump_binary if binary else dump_text
        self.encode = encode
        self.decode = decode
        self.accepts_views = accepts_views


def register_codec(
    name: str, encode: Callable[[object], bytes], decode: Callable[[bytes], object]
) -> None:
    """Offer a codec of your own under `name`, which a host's pool asks for by the same name.

    Call it while your module is imported. `encode` receives `None`, `bool`, `int`, `float`,
    `str`, `bytes`, `list` and `dict` with text keys; `decode` gives the same. What they raise
    ends the call with `invalid_result` or `invalid_body`.
    """

    def checked_encode(value: object) -> bytes:
        try:
            return bytes(encode(value))
        except Exception as error:
            raise InvalidResult("$", f"codec `{name}`: {error}") from error

    def checked_decode(body: bytes) -> object:
        try:
            return decode(body)
        except Exception as error:
            raise InvalidBody(f"codec `{name}`: {error}") from error

    offer(Codec(name, checked_encode, checked_decode, binary=True))


def offer(codec: Codec) -> None:
    """Offer a codec under its name, instead of any other one that had it."""
    _codecs[codec.name] = codec


def codec(name: str) -> Codec:
    """Return the codec called `name`. Raises `UnsupportedCodec`."""
    found = _codecs.get(name)
    if found is not None:
        return found
    if name == "json":
        from ._codec_json import make
    elif name == "msgpack":
        from ._codec_msgpack import make
    else:
        known = ", ".join(f"`{each}`" for each in sorted({"json", "msgpack", *_codecs}))
        raise UnsupportedCodec(
            f"there is no codec `{name}`, only {known}; "
            "a worker adds its own with `pyproc.register_codec`"
        )
    try:
        made = _codecs[name] = make()
    except ImportError as error:
        raise UnsupportedCodec(
            f"codec `{name}` needs a package that {sys.executable} does not have; install it: "
            f"{sys.executable} -m pip install msgspec (ormsgpack or msgpack serve too){error}"
        ) from None
    return made


_codecs: dict[str, Codec] = {}
