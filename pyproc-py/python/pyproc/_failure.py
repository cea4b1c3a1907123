"""What is told about an exception: its type, its message, and where it came from."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType, TracebackType

MAX_TEXT_BYTES = 64 * 1024
"""Messages and tracebacks are cut to this: exceptions have been seen with 100 MB of text."""


class Failure:
    """An exception, made ready to be sent."""

    __slots__ = ("message", "traceback", "type")

    def __init__(self, type: str, message: str, traceback: str | None = None) -> None:
        self.type = type
        self.message = message
        self.traceback = traceback

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception. Never raises, whatever the exception's methods do."""
        try:
            shown = traceback_of(error)
        except BaseException as other:
            shown = f"(the traceback cannot be shown: {type(other).__name__})\n"
        return cls(type_of(error), message_of(error), shown)

    def encode(self, max_bytes: int) -> bytes:
        """Return the JSON of an `Error` frame's body, cut so that it fits into `max_bytes`."""
        entries = {"type": self.type, "message": self.message}
        if self.traceback is not None:
            entries["traceback"] = self.traceback
        return encode_cut(entries, max_bytes)


def encode_cut(entries: Mapping[str, object], max_bytes: int) -> bytes:
    """Return JSON of at most `max_bytes`, if need be by cutting the texts in it."""
    import json

    limit = MAX_TEXT_BYTES
    while True:
        shown = {
            name: cut(value, limit) if isinstance(value, str) else value
            for name, value in entries.items()
        }
        data = json.dumps(shown).encode()
        if len(data) <= max_bytes or not limit:
            return data
        limit //= 2


def type_of(error: BaseException) -> str:
    """Return the name of an exception's type, with its module unless it is built in."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return what an exception says, also where its `__str__` raises."""
    try:
        return cut(str(error))
    except BaseException as other:
        return f"(its message cannot be shown: __str__ raised {type_of(other)})"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as Python prints it, without our own frames."""
    from traceback import format_exception

    shown = without_ours(error.__traceback__)
    return cut("".join(format_exception(type(error), error, shown)))


def without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Return the frames of a traceback that are not this package's, nor `import`'s."""
    theirs = []
    while traceback is not None:
        if not _is_ours(traceback.tb_frame):
            theirs.append(traceback)
        traceback = traceback.tb_next
    for each in reversed(theirs):
        kind = type(each)
        traceback = kind(traceback, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return traceback


def cut(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """Return `text`, its middle left out where it has more than `limit` bytes of UTF-8."""
    if len(text) * 4 <= limit:
        return text.encode(errors="backslashreplace").decode() if not text.isascii() else text
    # Characters first: 100 MB need not be encoded to be cut.
    if len(text) > 2 * limit:
        left_out = len(text) - 2 * limit
        text = text[:limit] + text[-limit:]
    else:
        left_out = 0
    data = text.encode(errors="backslashreplace")
    if len(data) <= limit and not left_out:
        return data.decode()
    left_out += len(data) - limit
    mark = f"\n… about {left_out} bytes are left out …\n"
    half = max(0, limit - len(mark.encode())) // 2
    head = data[:half].decode(errors="ignore")
    tail = data[len(data) - half :].decode(errors="ignore")
    return head + mark + tail if half else data[:limit].decode(errors="ignore")


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    if name == __package__ or name.startswith(f"{__package__}."):
        return True
    return frame.f_code.co_filename.startswith("<frozen importlib")


def print_failure(error: BaseException) -> None:
    """Print the traceback of an exception to stderr, without our own frames."""
    print(traceback_of(error), end="", file=sys.stderr)
