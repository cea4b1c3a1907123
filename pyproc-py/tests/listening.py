"""Hosts of a worker that listens."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from typing import Any

from host import TIMEOUT_SECONDS


class JsonHost:
    """Speaks the JSON protocol."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(TIMEOUT_SECONDS)
        self._calls = 0

    def send(self, message: object) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.socket.sendall(len(data).to_bytes(4, "big") + data)

    def read(self) -> Any:
        """Return the next message, or `None` at the end of the stream."""
        header = self._exactly(4)
        return json.loads(self._exactly(int.from_bytes(header, "big"))) if header else None

    def call(self, name: str, *body: object) -> Any:
        """Make one call and return its result."""
        self._calls += 1
        message: dict[str, object] = {"id": self._calls, "method": name}
        if body:
            message["body"] = body[0]
        self.send(message)
        answer = self.read()
        assert answer["id"] == self._calls
        assert answer["ok"], answer
        return answer["body"]

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                return b""
            data += chunk
        return data

    def close(self) -> None:
        self.socket.close()


def connect(path: str, process: subprocess.Popen[Any]) -> socket.socket:
    """Connect as soon as the worker listens."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            assert process.poll() is None, "the worker has ended"
            assert time.monotonic() < give_up
            select.select([], [], [], 0.002)
        else:
            return sock


def connect_json(path: str, process: subprocess.Popen[Any]) -> JsonHost:
    """Connect with the JSON protocol as soon as the worker listens."""
    return JsonHost(connect(path, process))
