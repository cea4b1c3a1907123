"""Ends a process for which threads of the user's code would wait."""

from __future__ import annotations

import os
import sys

from ._context import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

THREADS_NS = 500_000_000
"""How long threads may go on after a function has said that the process should end."""


def leave_threads(code: object) -> None:
    """Wait briefly for the threads that are no daemons, and end the process where some go on.

    `sys.exit` would wait for them for ever, and a host that waited no longer would not learn the
    exit code. `code` is as in `sys.exit`.
    """
    threading: Any = sys.modules.get("threading")
    if threading is None:
        return
    here = threading.current_thread()
    give_up = now_ns() + THREADS_NS
    for thread in threading.enumerate():
        if thread is here or thread.daemon:
            continue
        thread.join(max(0, give_up - now_ns()) / 1e9)
        if thread.is_alive():
            print(f"pyproc: the thread {thread.name} still ran at sys.exit()", file=sys.stderr)
            if not isinstance(code, int) and code is not None:
                print(code, file=sys.stderr)
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))
