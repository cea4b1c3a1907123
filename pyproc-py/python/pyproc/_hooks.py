"""What a worker runs around its calls."""

from __future__ import annotations

import sys

from ._errors import RegistrationError
from ._registry import look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from typing import Any, TypeVar

    H = TypeVar("H", bound=Callable[[], object])


def on_start(hook: H) -> H:
    """Run `hook` once, after the module is imported and before the first call.

    What it raises fails the start of the worker. In a worker with async functions it may be one
    itself, and runs on their event loop. The hook is returned as it is.
    """
    _starting.append(hook)
    return hook


def on_stop(hook: H) -> H:
    """Run `hook` once, after the last call of a worker that stops in good order.

    A worker that is killed does not get so far. It may be async as those of `on_start` may. The
    hook is returned as it is.
    """
    _stopping.append(hook)
    return hook


def run_start_hooks(loop: AbstractEventLoop | None = None) -> None:
    """Run all start hooks in the order in which they were given, those that are async on `loop`."""
    for hook in _starting:
        _run(hook, loop)


def run_stop_hooks(loop: AbstractEventLoop | None = None) -> None:
    """Run all stop hooks in reverse order, those that are async on `loop`.

    Whatever one raises, be it `SystemExit`, keeps neither the next from running nor the worker
    from saying goodbye.
    """
    while _stopping:
        hook = _stopping.pop()
        try:
            _run(hook, loop)
        except BaseException as error:
            from ._failure import traceback_of

            print(
                f"pyproc: the stop hook `{_name(hook)}` failed\n{traceback_of(error)}",
                file=sys.stderr,
            )


def _run(hook: Callable[[], Any], loop: AbstractEventLoop | None) -> None:
    result = hook()
    if not hasattr(result, "__await__"):
        return
    if loop is not None:
        loop.run_until_complete(result)
        return
    if hasattr(result, "close"):
        result.close()
    raise RegistrationError(
        f"the hook `{_name(hook)}` ({look_at(hook)[0]}) is async, and there is no event loop here: "
        "none of the exposed functions is async; make it a plain function, which may call "
        "`asyncio.run`"
    )


def _name(hook: Callable[[], object]) -> str:
    return getattr(hook, "__name__", repr(hook))


_starting: list[Callable[[], object]] = []
_stopping: list[Callable[[], object]] = []
