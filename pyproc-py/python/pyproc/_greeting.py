"""Reads the first frame of a host, and the descriptors that travel beside it."""

from __future__ import annotations

import _socket
import os
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET

from ._handshake import Hello, Refusal
from ._protocol import (
    DEFAULT_MAX_FRAME,
    KIND_NAMES,
    Kind,
    ProtocolError,
    Status,
    parse_frame,
)
from ._splitter import Splitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

# macOS has no such flag; there the descriptors are made uninheritable a moment later.
_CLOSE_ON_EXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
_MAX_DESCRIPTORS = 8
_INT_BYTES = 4


def read_hello(sock: socket) -> Hello:
    """Read the `Hello`, and watch the lifeline that comes with it, if one does.

    Raises `Refusal`. Ends the process where the host is gone. Nothing after the `Hello` is read:
    a plain `recv` would drop the descriptors beside it, and `socket.recv_fds` makes them
    inheritable.
    """
    splitter = Splitter(DEFAULT_MAX_FRAME)
    wanted = 4
    descriptors: list[int] = []
    try:
        while True:
            data, found = _receive(sock, wanted)
            descriptors += found
            if not data:
                raise SystemExit("pyproc: the host closed the connection before its Hello")
            for payload in splitter.feed(data):
                kind, _, _, _, _, _, body = parse_frame(payload)
                if kind != Kind.HELLO:
                    message = f"the host begins with {KIND_NAMES[kind]}, not with HELLO"
                    raise ProtocolError(message)
                return Hello.parse(body)
            wanted = splitter.missing
    except ProtocolError as error:
        raise Refusal(Status.INVALID_HELLO, str(error)) from None
    finally:
        _keep(descriptors)


def _receive(sock: socket, wanted: int) -> tuple[bytes, list[int]]:
    space = CMSG_SPACE(_MAX_DESCRIPTORS * _INT_BYTES)
    data, ancillary, _, _ = sock.recvmsg(wanted, space, _CLOSE_ON_EXEC)
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            whole = len(content) - len(content) % _INT_BYTES
            descriptors += memoryview(content[:whole]).cast("i")
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return data, descriptors


def _keep(descriptors: list[int]) -> None:
    """The first descriptor is the lifeline; later versions may send more, which are not ours."""
    if descriptors:
        from ._lifeline import watch

        watch(descriptors[0])
    for descriptor in descriptors[1:]:
        os.close(descriptor)
