"""The entry of a worker that a host has spawned."""

from __future__ import annotations

import gc
import os
import signal
import sys
from _socket import socket

from . import _handshake, _run, _script, _stdio
from ._cancellation import CANCELLATIONS
from ._connection_binary import BinaryConnection
from ._context import running_request
from ._core import choose
from ._dispatch import Dispatcher
from ._fork import ForkGuard
from ._greeting import LIFELINE, STACKS, STATE_PAGE, read_hello
from ._handshake import Hello, Refusal
from ._hooks import run_start_hooks, run_stop_hooks
from ._interrupt import Interrupt, PureRunning
from ._isolation import NotAllowed, isolate
from ._lane import Lane
from ._leave import leave_threads
from ._logging_hook import when_imported
from ._protocol import ProtocolError, Status
from ._registry import REGISTRY
from ._script import Target, explain
from ._signals import StopSignal
from ._stacks import Stacks
from ._state_page import StatePage
from ._title import set_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping
    from typing import Any

    from ._core import Core
    from ._interrupt import Running


def main(bundle: dict[str, Any], origin: str, ignored: str | None) -> None:
    """Be the worker that the bundle describes; `origin` is where this package comes from.

    `ignored` is the file of another module called `pyproc`, which cannot serve here.
    """
    # A host that takes its signals from a queue blocks them, and what it starts inherits that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    descriptor = _stdio.take_stdin()
    _stdio.reconfigure()
    _handshake.origin = origin
    _script.ignored = ignored
    if ignored is not None:
        print(
            f"pyproc: {ignored} is another package or version than this host needs; "
            "the one that the host brings along is used",
            file=sys.stderr,
        )
    target = Target.parse(bundle["target"])
    target.add_paths(bundle.get("python_path", ()))
    sys.argv = [target.label]
    if bundle["mode"] == "listen":
        if bundle.get("lifeline"):
            # No frames follow here; the socket itself ends with the host that holds its other end.
            from ._lifeline import watch

            watch(descriptor)
        else:
            os.close(descriptor)
        try:
            isolate(bundle.get("process", {}))
        except NotAllowed as error:
            sys.exit(f"pyproc: {error}")
        target.run_as_main()
        if not _run.has_listened:
            sys.exit(f"pyproc: {target.label} has ended without listening; does it run_worker()?")
    else:
        _run.is_hosted = True
        process = bundle.get("process", {})
        worker = Worker(socket(fileno=descriptor), target, bundle.get("core", "auto"), process)
        worker.run(bundle.get("event_loop", "asyncio"))


class Worker:
    """One connection, one user's module, and the loop between them."""

    def __init__(
        self,
        sock: socket,
        target: Target,
        core: str = "auto",
        process: Mapping[str, Any] | None = None,
    ) -> None:
        """`core` is which loop is wanted: `auto`, `native` or `pure`.

        `process` is what the process is to do to itself first.
        """
        self._socket = sock
        self._target = target
        self._core = core
        self._process = process or {}
        self._stop = StopSignal()
        self._lane = Lane(sock, self._stop)
        self._guard = ForkGuard()
        self._guard.add(self._lane.abandon)
        self._guard.add(self._stop.close)
        self._page: StatePage | None = None
        self._running: Running = PureRunning()
        self._loop: AbstractEventLoop | None = None
        """What runs the async functions, where there are any."""

    def run(self, event_loop: str = "asyncio") -> None:
        """Shake hands, load the module, and run calls until the host has had enough.

        `event_loop` is what async functions run on: `asyncio` or `uvloop`.
        """
        connection = BinaryConnection()
        try:
            hello, descriptors = read_hello(self._socket)
            connection.limit_to(hello.max_frame)
            self._watch(descriptors)
            try:
                isolate(self._process)
            except NotAllowed as error:
                raise Refusal(Status.START_FAILED, str(error)) from None
            core = choose(self._core)
            if core is not None:
                _handshake.is_native = True
                core.offer_codecs()
                self._running = core.module.Running()
            if STATE_PAGE in descriptors:
                self._share(descriptors[STATE_PAGE])
            self._prepare(hello)
            dispatcher = self._load(event_loop, hello.threads)
            connection.open(hello, dispatcher.functions)
        except Refusal as refusal:
            connection.refuse(refusal)
            self._say_last(connection)
            sys.exit(1)
        # Before the Welcome: the first signal may follow it at once.
        self._stop.install(signal.SIGTERM)
        # What lives by now will live on; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        try:
            self._run_calls(core, hello, connection, dispatcher)
        except SystemExit as exit:
            # Before the interpreter waits for threads: the host need not wait for them too.
            self._close()
            self._close_loop()
            leave_threads(exit.code)
            raise
        except ProtocolError as error:
            sys.exit(f"pyproc: the host broke the protocol: {error}")
        except (BrokenPipeError, ConnectionResetError):
            connection.has_ended = True
        except OSError as error:
            sys.exit(
                f"pyproc: the connection with the host broke: {error}; did the user's code close "
                "descriptors that it had not opened?"
            )

        running_request.set(None)
        run_stop_hooks(self._loop)
        self._close_loop()
        if not connection.has_ended:
            connection.say_goodbye()
            self._say_last(connection)

    def _run_calls(
        self,
        core: Core | None,
        hello: Hello,
        connection: BinaryConnection,
        dispatcher: Dispatcher,
    ) -> None:
        if self._loop is not None:
            from ._loop_async import AsyncLoop

            AsyncLoop(
                self._loop,
                self._lane,
                connection,
                dispatcher,
                self._stop,
                self._guard,
                self._page,
                self._running,
                hello.threads,
            ).run()
        elif core is None:
            from ._loop_sync import SyncLoop

            spin_ns = hello.spin_us * 1000
            SyncLoop(
                self._lane,
                connection,
                dispatcher,
                self._stop,
                self._guard,
                spin_ns,
                self._page,
                self._running,
            ).run()
        else:
            from ._loop_native import NativeLoop

            NativeLoop(
                core,
                self._lane,
                connection,
                dispatcher,
                self._stop,
                self._guard,
                hello,
                self._page,
                self._running,
            ).run()

    def _say_last(self, connection: BinaryConnection) -> None:
        try:
            self._lane.write(connection.take_output())
        except OSError:
            pass  # The host is gone; what was to be said was for it alone.
        self._close()

    def _close(self) -> None:
        try:
            self._lane.close()
        except OSError:
            pass  # As above.

    def _close_loop(self) -> None:
        if self._loop is not None:
            from ._event_loop import close_loop

            close_loop(self._loop)

    def _watch(self, descriptors: Mapping[str, int]) -> None:
        """End with the host from now on, and show it where this process is."""
        if LIFELINE in descriptors:
            from ._lifeline import watch

            watch(descriptors[LIFELINE])
        if STACKS in descriptors:
            stacks = Stacks(descriptors[STACKS])
            stacks.install()
            self._guard.add(stacks.abandon)

    def _share(self, descriptor: int) -> None:
        """Keep the state page, and take the host's interrupts, before any of the user's code."""
        try:
            self._page = StatePage(descriptor)
        except (OSError, ValueError) as error:
            # The host goes without it, too: it sees that nobody keeps the page.
            print(f"pyproc: there is no state page: {error}", file=sys.stderr)
            return
        CANCELLATIONS.read_from(self._page.words)
        self._guard.add(CANCELLATIONS.abandon)
        interrupt = Interrupt(self._running, self._page.words)
        interrupt.install()
        self._guard.add(interrupt.abandon)
        self._page.open()

    def _prepare(self, hello: Hello) -> None:
        place = "" if hello.slot is None else f"/{hello.slot}"
        set_title(f"pyproc {hello.pool}{place}")
        _stdio.refuse_breakpoints(
            self._target.label,
            is_source=self._target.source is not None,
            is_embedded=_handshake.origin == "embedded",
        )

        def send_logs() -> None:
            from ._logging import install

            install(self._lane, hello.log_level, hello.max_frame)

        when_imported(send_logs)

    def _load(self, event_loop: str, threads: int) -> Dispatcher:
        try:
            self._target.load()
            dispatcher = Dispatcher(REGISTRY)
            if threads > 1 or any(function.is_async for function in dispatcher.functions):
                # It takes longer to import than all of this package.
                from ._event_loop import make_loop

                self._loop = make_loop(event_loop)
            run_start_hooks(self._loop)
        except Refusal:
            raise
        except BaseException as error:
            failure = explain(error, self._target.label)
            raise Refusal(Status.START_FAILED, failure) from None
        return dispatcher
