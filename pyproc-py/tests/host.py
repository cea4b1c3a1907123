"""A tiny host: what the Rust one does, as far as a worker can see it."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyproc._protocol import Kind, encode_frame, parse_frame
from pyproc._splitter import Splitter
from pyproc._state_page import BYTES, INTERRUPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyproc._protocol import Frame

PACKAGE = Path(__file__).parent.parent / "python"
BOOTSTRAP = (PACKAGE / "pyproc" / "_bootstrap.py").read_text()
SOURCES = {
    str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))
}
TIMEOUT_SECONDS = 30.0
"""Nothing here takes long; this only turns a hang into a failure."""


def hello_frame(entries: dict[str, Any]) -> bytes:
    """Return a `Hello` with these entries, and others as a host would have them."""
    defaults = {"protocol": 1, "codec": "json", "deadline_clock": "monotonic"}
    body = json.dumps(defaults | {"pool": "test", "slot": 0} | entries).encode()
    return encode_frame(Kind.HELLO, body)


class Wire:
    """Frames over a socket, from the host's side."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(TIMEOUT_SECONDS)
        self._splitter = Splitter(64 * 1024 * 1024)
        self._frames: list[Frame] = []

    def send(self, kind: int, body: bytes = b"", **fields: Any) -> None:
        self.socket.sendall(encode_frame(kind, body, **fields))

    def read(self) -> Frame | None:
        """Return the next frame, or `None` at the end of the stream."""
        while not self._frames:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames += map(parse_frame, self._splitter.feed(data))
        return self._frames.pop(0)

    def expect(self, kind: int) -> Frame:
        """Return the next frame that is no log record; it must be of this kind."""
        while True:
            frame = self.read()
            assert frame is not None, "the worker closed the connection"
            if frame[0] != Kind.LOG or kind == Kind.LOG:
                assert frame[0] == kind, frame
                return frame

    def expect_any(self) -> Frame:
        """Return the next frame that is no log record."""
        while True:
            frame = self.read()
            assert frame is not None, "the worker closed the connection"
            if frame[0] != Kind.LOG:
                return frame

    def hello(self, **entries: Any) -> None:
        self.socket.sendall(hello_frame(entries))

    def close(self) -> None:
        self.socket.close()


def sealed_page(size: int = BYTES) -> int:
    """Return the descriptor of a new page, which nobody can make shorter."""
    descriptor = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor


class Shared:
    """The memory that a host shares with its worker."""

    def __init__(self) -> None:
        self.descriptor = sealed_page()
        self._memory = mmap.mmap(self.descriptor, BYTES)
        self.words = memoryview(self._memory).cast("Q")
        self.stacks = os.memfd_create("stacks")

    def read_stacks(self) -> str:
        """Return what the worker has written of its stacks."""
        return os.pread(self.stacks, 1 << 20, 0).decode()

    def close(self) -> None:
        self.words.release()
        self._memory.close()
        os.close(self.descriptor)
        os.close(self.stacks)


HAS_PAGE = hasattr(os, "memfd_create")
"""Whether hosts share memory with their workers here."""


class Host(Wire):
    """A spawned worker and the connection with it."""

    def __init__(
        self,
        target: dict[str, str],
        *,
        python: str = sys.executable,
        python_path: list[str] | None = None,
        mode: str = "connection",
        core: str = "pure",
        event_loop: str = "asyncio",
        sources: dict[str, str] = SOURCES,
        cwd: str | Path | None = None,
        env: dict[str, str] | None = None,
        lifeline: bool = True,
        page: bool = HAS_PAGE,
        descriptors: Mapping[str, int] | None = None,
        greet: bool = True,
        **hello: Any,
    ) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [python, "-X", "faulthandler", "-c", BOOTSTRAP],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        theirs.close()
        bundle = {
            "protocol": 1,
            "modules": sources,
            "target": target,
            "mode": mode,
            "core": core,
            "event_loop": event_loop,
            "python_path": python_path or [],
            "lifeline": mode == "listen" and lifeline,
        }
        text = json.dumps(bundle).encode()
        self.socket.sendall(len(text).to_bytes(4, "big") + text)
        self.lifeline: int | None = None
        self._shared: Shared | None = None
        self.functions: dict[str, int] = {}
        if mode == "connection" and greet:
            reader = None
            given = dict(descriptors or {})
            if lifeline:
                reader, self.lifeline = os.pipe()
                given["lifeline"] = reader
            if page:
                self._shared = Shared()
                given["state_page"] = self._shared.descriptor
                given["stacks"] = self._shared.stacks
            self._greet({"descriptors": list(given)} | hello, list(given.values()))
            if reader is not None:
                os.close(reader)

    def _greet(self, entries: dict[str, Any], descriptors: list[int]) -> None:
        frame = hello_frame(entries)
        socket.send_fds(self.socket, [frame[:1]], descriptors)
        self.socket.sendall(frame[1:])

    @property
    def shared(self) -> Shared:
        """The memory that the worker shares, where there is any."""
        assert self._shared is not None
        return self._shared

    @property
    def words(self) -> memoryview:
        """The words of the state page."""
        return self.shared.words

    def interrupt(self, call: int) -> None:
        """Interrupt a call if it runs, as far as one signal does it."""
        self.words[INTERRUPT] = call
        self.process.send_signal(signal.SIGURG)

    def interrupt_until_answered(self, call: int) -> None:
        """Interrupt a call again and again, as a host does."""
        give_up = time.monotonic() + TIMEOUT_SECONDS
        while not select.select([self.socket], [], [], 0.005)[0]:
            assert time.monotonic() < give_up
            self.interrupt(call)

    def welcome(self) -> dict[str, Any]:
        """Read the `Welcome` and learn the table of functions."""
        welcome: dict[str, Any] = json.loads(self.expect(Kind.WELCOME)[6])
        self.functions = {each["name"]: i for i, each in enumerate(welcome["functions"])}
        return welcome

    def refused(self) -> tuple[int, dict[str, str]]:
        """Read why the worker did not start."""
        frame = self.expect(Kind.ERROR)
        assert frame[3] == 0
        return frame[2], json.loads(frame[6])

    def request(self, call: int, name: str, body: Any = None, **fields: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(Kind.REQUEST, data, index=self.functions[name], call=call, **fields)

    def call(self, name: str, body: Any = None, call: int = 1) -> Any:
        """Make one call and return its result."""
        self.request(call, name, body)
        frame = self.expect(Kind.REPLY)
        assert frame[3] == call
        return json.loads(frame[6])

    def failed(self) -> tuple[int, int, dict[str, str]]:
        """Read an error: call id, status, description."""
        frame = self.expect(Kind.ERROR)
        return frame[3], frame[2], json.loads(frame[6])

    def wait(self) -> tuple[int, str, str]:
        """Wait for the process to end; return exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, out.decode(), err.decode()

    def close(self) -> None:
        """End the worker, whatever it does."""
        super().close()
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None
        if self._shared is not None:
            self._shared.close()
            self._shared = None
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
