"""A worker that lies: it begins as docs/protocol.md says, and breaks the protocol when asked to.

It is run as a script that listens, needs nothing but the standard library, and answers one call
after the other in the codec `json`. `GREETING` says how it answers a `Hello`.
"""

import json
import os
import socket
import struct
import time

HELLO, WELCOME, REQUEST, REPLY, ERROR, PING, PONG, DRAIN, GOODBYE = (
    0x81, 0x82, 0x83, 0x84, 0x85, 0x8A, 0x8B, 0x8D, 0x8E,
)  # fmt: skip
DEADLINE = 0x01
NAMES = ["health", "echo", "ids", "misbehave", "deaf"]
GREETING = os.environ.get("GREETING", "as it should be")


def frame(kind, call=0, body=b"", index=0):
    return struct.pack(">IBBHQ", 12 + len(body), kind, 0, index, call) + body


class Worker:
    def __init__(self, sock):
        self.sock = sock
        self.ids = []
        self.chunk_bytes = None
        """How many bytes it reads and writes at once; as many as there are when `None`."""

    def serve(self):
        kind, _, _, body = self.receive()
        assert kind == HELLO
        self.greet(json.loads(body))
        while True:
            kind, index, call, body = self.receive()
            if kind == REQUEST:
                self.ids.append(call)
                self.answer(NAMES[index], call, body)
            elif kind == PING:
                self.send(frame(PONG, body=body))
            elif kind == DRAIN:
                self.send(frame(GOODBYE))
                return
            elif kind == GOODBYE:
                return

    def greet(self, hello):
        welcome = {
            "protocol": 1,
            "codec": hello["codec"],
            "pid": os.getpid(),
            "python": "none",
            "package": {"version": "1", "origin": "hostile"},
            "functions": [{"name": name} for name in NAMES],
        }
        if GREETING == "another version":
            welcome["protocol"] = 2
        elif GREETING == "another codec":
            welcome["codec"] = "msgpack"
        elif GREETING == "no pid":
            del welcome["pid"]
        elif GREETING == "two functions of one name":
            welcome["functions"] += [{"name": "echo"}]
        elif GREETING == "a reply":
            self.send(frame(REPLY, 1, b"1"))
        elif GREETING == "garbage":
            self.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif GREETING == "a refusal":
            error = {"type": "HandshakeError", "message": "version 2 is spoken here"}
            self.send(frame(ERROR, body=json.dumps(error).encode(), index=18))
            return
        elif GREETING == "nothing":
            return
        self.send(frame(WELCOME, body=json.dumps(welcome).encode()))

    def answer(self, name, call, body):
        if name == "misbehave":
            argument = json.loads(body)
            getattr(self, argument["how"])(call, **argument.get("with", {}))
        elif name == "ids":
            self.send(frame(REPLY, call, json.dumps(self.ids).encode()))
        else:
            self.send(frame(REPLY, call, body))

    # What a call can ask for.

    def raw(self, call, before="", text="", hang=True):
        """Send bytes, given in hexadecimal digits, in place of an answer."""
        self.send(bytes.fromhex(before) + text.encode())
        if hang:
            time.sleep(1000)

    def claim(self, call, length):
        """Send the header of a reply that states another length, 4 bytes of a body, and no more."""
        self.send(struct.pack(">IBBHQ", length, REPLY, 0, 0, call) + b"1234")
        self.sock.shutdown(socket.SHUT_WR)
        time.sleep(1000)

    def unknown(self, call):
        """Answer a call that nobody has made."""
        self.send(frame(REPLY, call + 1000, b"1"))
        time.sleep(1000)

    def twice(self, call):
        self.send(frame(REPLY, call, b'"first"') + frame(REPLY, call, b'"second"'))
        time.sleep(1000)

    def late(self, call, seconds):
        time.sleep(seconds)
        self.send(frame(REPLY, call, b'"late"'))

    def drip(self, call, seconds):
        """Send a reply, one byte after the other, with that time between them."""
        for byte in frame(REPLY, call, json.dumps("x" * 100_000).encode()):
            self.send(bytes([byte]))
            time.sleep(seconds)

    def single_bytes(self, call):
        self.chunk_bytes = 1
        self.send(frame(REPLY, call, b'"as you like"'))

    # The bytes.

    def send(self, data):
        step = self.chunk_bytes or max(1, len(data))
        for start in range(0, len(data), step):
            self.sock.sendall(data[start : start + step])

    def receive(self):
        (length,) = struct.unpack(">I", self.read(4))
        kind, flags, index, call = struct.unpack(">BBHQ", self.read(12))
        if kind == REQUEST and NAMES[index] == "deaf":
            time.sleep(1000)
        body = self.read(length - 12)
        return kind, index, call, body[8:] if flags & DEADLINE else body

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            chunk = self.sock.recv(self.chunk_bytes or count - len(data))
            if not chunk:
                raise SystemExit
            data += chunk
        return bytes(data)


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ["PYPROC_SOCKET_PATH"])
    listener.listen()
    with listener.accept()[0] as sock:
        Worker(sock).serve()


if __name__ == "__main__":
    main()
