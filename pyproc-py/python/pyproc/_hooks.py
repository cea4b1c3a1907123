"""What a worker runs around its calls."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    H = TypeVar("H", bound=Callable[[], object])


def on_start(hook: H) -> H:
    """Run `hook` once, after the module is imported and before the first call.

    What it raises fails the start of the worker. The hook is returned as it is.
    """
    _starting.append(hook)
    return hook


def on_stop(hook: H) -> H:
    """Run `hook` once, after the last call of a worker that stops in good order.

    A worker that is killed does not get so far. The hook is returned as it is.
    """
    _stopping.append(hook)
    return hook


def run_start_hooks() -> None:
    """Run all start hooks in the order in which they were given."""
    for hook in _starting:
        hook()


def run_stop_hooks() -> None:
    """Run all stop hooks in reverse order.

    Whatever one raises, be it `SystemExit`, keeps neither the next from running nor the worker
    from saying goodbye.
    """
    while _stopping:
        hook = _stopping.pop()
        try:
            hook()
        except BaseException as error:
            from ._failure import traceback_of

            name = getattr(hook, "__name__", repr(hook))
            print(f"pyproc: the stop hook `{name}` failed\n{traceback_of(error)}", file=sys.stderr)


_starting: list[Callable[[], object]] = []
_stopping: list[Callable[[], object]] = []
