"""What host and worker say first. Always JSON, so that any version can read any other's."""

from __future__ import annotations

import json
import sys
from os import getpid

from . import _version
from ._failure import Failure
from ._protocol import DEFAULT_MAX_FRAME, HEADER_LENGTH, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ._registry import Function

MIN_MAX_FRAME = 1024
"""A smaller limit, in bytes, would leave no room to say what is wrong."""

origin = "installed"
"""Where this package was loaded from: `installed`, or `embedded` in a host."""


is_native = False
"""Whether the compiled core answers the calls."""


class Refusal(Exception):
    """A handshake fails, and why."""

    def __init__(self, status: int, failure: Failure | str) -> None:
        super().__init__(status)
        self.status = status
        self.failure = Failure("HandshakeError", failure) if isinstance(failure, str) else failure


class Hello:
    """What a host proposes."""

    __slots__ = (
        "codec",
        "descriptors",
        "has_absolute_deadlines",
        "log_level",
        "max_frame",
        "pool",
        "slot",
        "spin_us",
        "threads",
    )

    codec: str
    max_frame: int
    has_absolute_deadlines: bool
    """Whether deadlines are CLOCK_MONOTONIC nanoseconds; otherwise remaining microseconds."""
    pool: str
    slot: int | None
    log_level: int
    """Records below it are not sent, by the numbers of Python's `logging`."""
    spin_us: int
    """How long the worker may look for requests without blocking before it sleeps, in µs."""
    threads: int
    """In how many threads the plain functions run."""
    descriptors: list[str]
    """What the descriptors are that travel beside the frame, in their order."""

    @classmethod
    def parse(cls, body: bytes) -> Hello:
        """Read the body of a `Hello` frame. Raises `Refusal`."""
        try:
            entries = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refusal(Status.INVALID_HELLO, f"the Hello is not JSON: {error}") from None
        if not isinstance(entries, dict):
            raise Refusal(Status.INVALID_HELLO, "the Hello is not a JSON object")
        protocol = _take(entries, "protocol", int, None)
        if protocol != _version.PROTOCOL_VERSION:
            raise Refusal(
                Status.UNSUPPORTED_VERSION,
                f"the host speaks version {protocol} of the protocol, this worker (pyproc "
                f"{_version.VERSION}, {origin}) version {_version.PROTOCOL_VERSION}",
            )
        hello = cls()
        hello.codec = _take(entries, "codec", str, None)
        hello.max_frame = _take(entries, "max_frame", int, DEFAULT_MAX_FRAME)
        if not MIN_MAX_FRAME <= hello.max_frame < 2**32:
            raise Refusal(
                Status.INVALID_HELLO,
                f"`max_frame` is {hello.max_frame}; it must be from {MIN_MAX_FRAME} to {2**32 - 1}",
            )
        clock = _take(entries, "deadline_clock", str, "remaining")
        if clock not in ("monotonic", "remaining"):
            raise Refusal(Status.INVALID_HELLO, f"`deadline_clock` is `{clock}`")
        hello.has_absolute_deadlines = clock == "monotonic"
        hello.pool = _take(entries, "pool", str, "")
        hello.slot = _take(entries, "slot", int, None) if "slot" in entries else None
        hello.log_level = _take(entries, "log_level", int, 20)
        hello.spin_us = _take(entries, "spin_us", int, 0)
        hello.threads = _take(entries, "threads", int, 1)
        hello.descriptors = _take(entries, "descriptors", list, [])
        for name, value, most in (
            ("slot", hello.slot, 2**32 - 1),
            ("spin_us", hello.spin_us, 2**32 - 1),
            ("threads", hello.threads, 2**32 - 1),
            ("log_level", hello.log_level, 255),
        ):
            if value is not None and not 0 <= value <= most:
                message = f"`{name}` is {value}; it must be from 0 to {most}"
                raise Refusal(Status.INVALID_HELLO, message)
        return hello


def encode_welcome(hello: Hello, functions: Sequence[Function]) -> bytes:
    """Return the body of the `Welcome` frame that answers `hello`."""
    welcome = {
        "protocol": _version.PROTOCOL_VERSION,
        "codec": hello.codec,
        "pid": getpid(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "package": {"version": _version.VERSION, "origin": origin, "native": is_native},
        "functions": [_describe(function) for function in functions],
    }
    body = json.dumps(welcome).encode()
    if len(body) + HEADER_LENGTH > hello.max_frame:
        raise Refusal(
            Status.INVALID_HELLO,
            f"the table of functions has {len(body)} bytes, more than `max_frame` allows",
        )
    return body


def _describe(function: Function) -> dict[str, object]:
    binding = function.binding
    return {
        "name": function.name,
        "arguments": binding.arguments,
        "parameters": [
            {
                "name": each.name,
                "type": each.type,
                "required": each.required,
                "stream": each.is_stream,
            }
            for each in binding.parameters
        ],
        "returns": binding.returns,
        "async": function.is_async,
        "stream": function.is_stream,
        "batch": 0 if function.batching is None else function.batching.size,
    }


def _take(entries: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = entries.get(name, default)
    if type(value) is not kind and not (value is None and name == "slot"):
        raise Refusal(Status.INVALID_HELLO, f"`{name}` is missing or not of type {kind.__name__}")
    return value
