"""The standard streams of a worker that has no terminal."""

from __future__ import annotations

import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HIGH = 100
"""Above the descriptors that user code is likely to name by number."""


def take_stdin() -> int:
    """Move descriptor 0 to a high one that no child inherits, and put /dev/null in its place."""
    taken = duplicate_high(0)
    null = os.open(os.devnull, os.O_RDONLY)
    if null:
        os.dup2(null, 0)
        os.close(null)
    return taken


def duplicate_high(descriptor: int) -> int:
    """Return a duplicate with a high number, which no child inherits."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # So few descriptors are allowed here.
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def reconfigure() -> None:
    """Write lines as they end, and anything that can be printed."""
    for stream in (sys.stdout, sys.stderr):
        change: Any = getattr(stream, "reconfigure", None)
        if change is not None:  # A stream is `None` where its descriptor is closed.
            change(line_buffering=True, errors="backslashreplace")


def refuse_breakpoints(script: str, *, is_source: bool, is_embedded: bool) -> None:
    """Make `breakpoint()` say how to get to a debugger.

    `is_source` is whether the script is only a text, and `is_embedded` whether this package is
    only there while the host runs.
    """

    def refuse(*args: object, **kwargs: object) -> object:
        if os.environ.get("PYTHONBREAKPOINT"):
            return sys.__breakpointhook__(*args, **kwargs)
        from ._context import running_request

        request = running_request.get()
        name = "NAME" if request is None else function_name(request.function)
        from shlex import quote

        python = quote(sys.executable)
        steps = [
            *([f"{python} -m pip install pyproc-py"] if is_embedded else []),
            *([f"save the source as {quote(script)}"] if is_source else []),
            f"{python} -m pyproc {quote(script)} --call {quote(name)} JSON",
        ]
        raise RuntimeError(
            "breakpoint() needs a terminal, which a pooled worker does not have; run the call in "
            f"the foreground: {', then '.join(steps)}"
        )

    def function_name(reference: int | str) -> str:
        from ._registry import REGISTRY

        return reference if isinstance(reference, str) else list(REGISTRY)[reference].name

    sys.breakpointhook = refuse
