"""Being a worker that listens: from the functions to the last goodbye."""

from __future__ import annotations

import signal

from ._dispatch import Dispatcher
from ._errors import RegistrationError
from ._fork import ForkGuard
from ._hooks import run_start_hooks, run_stop_hooks
from ._listener import Listener
from ._loop_listening import ListeningLoop
from ._registry import REGISTRY
from ._signals import StopSignal


def listen(path: str) -> None:
    """Serve the exposed functions on a socket at `path`, until SIGTERM or Ctrl-C.

    The file appears when the worker is ready, and is removed at the end.

    Raises `PyprocError` where nothing can listen there, `SchemaError` for a function that cannot
    be served, and what a start hook raises.
    """
    dispatcher = Dispatcher(REGISTRY)
    for function in dispatcher.functions:
        if function.is_async:
            raise RegistrationError(
                f"function `{function.name}` ({function.place}) is async, which a worker that "
                "listens does not serve; let the host start the worker, or make it a plain "
                "function, which may call `asyncio.run`"
            )
    run_start_hooks()
    stop = StopSignal()
    guard = ForkGuard()
    guard.add(stop.close)
    try:
        # Before the file appears: whoever sees it may send a signal at once.
        try:
            stop.install(signal.SIGTERM, signal.SIGINT)
        except ValueError:
            pass  # Only the main thread may; whoever runs this in another one stops it otherwise.
        loop = ListeningLoop(Listener(path), dispatcher, stop, guard)
        try:
            loop.run()
            run_stop_hooks()
            loop.say_goodbye()
        finally:
            if not guard.is_child:
                loop.close()
    finally:
        if not guard.is_child:
            stop.close()
            guard.close()
