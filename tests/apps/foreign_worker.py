"""A worker written from docs/protocol.md alone, to show that one can be.

It listens on the path that it is given, serves one connection after the other in the binary
protocol with the codec `json`, prints what is not seen in its answers, and ends after a host has
said `Drain`.
"""

import json
import os
import select
import socket
import struct
import sys
import time
import traceback

HELLO, WELCOME, REQUEST, REPLY, ERROR = 0x81, 0x82, 0x83, 0x84, 0x85
CANCEL, PING, PONG, LOG, DRAIN, GOODBYE = 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E
DEADLINE, METADATA = 0x01, 0x02


def double(value):
    return 2 * value


def fail(reason):
    raise ValueError(reason)


def nan(_):
    return float("nan")


def fill(count):
    return "x" * count


def sleep(seconds):
    time.sleep(seconds)
    return "rested"


def leave(_):
    """Drain from this side; the connection ends when everything is answered."""
    return "gone"


FUNCTIONS = [double, fail, nan, fill, sleep, leave, lambda body: "well"]
NAMES = ["double", "fail", "nan", "fill", "sleep", "leave", "health"]


class Failed(Exception):
    """A call ends with an error that is no exception of its function."""

    def __init__(self, status, message):
        self.status, self.message = status, message


class Connection:
    def __init__(self, sock):
        self.sock, self.max_frame = sock, 16 * 1024 * 1024
        self.queue, self.cancelled = [], set()
        self.host_drains = self.draining = self.ended = False

    def send(self, kind, call=0, index=0, body=b""):
        self.sock.sendall(struct.pack(">IBBHQ", 12 + len(body), kind, 0, index, call) + body)

    def send_error(self, status, message, call=0, type="Refused", trace=None):
        error = {"type": type, "message": message[:4096], "traceback": trace}
        self.send(ERROR, call, status, json.dumps(error).encode())

    def receive(self):
        """One frame, or `None` at the end of the stream."""
        start = self.read(4)
        if not start:
            return None
        (length,) = struct.unpack(">I", start)
        if not 12 <= length <= self.max_frame:
            raise ConnectionError(f"a length of {length}")
        payload = self.read(length)
        kind, flags, index, call = struct.unpack(">BBHQ", payload[:12])
        rest, deadline = payload[12:], None
        known = DEADLINE | METADATA if kind == REQUEST else 0
        if flags & ~known or not HELLO <= kind <= GOODBYE:
            raise ConnectionError(f"kind {kind:#x} with flags {flags:#x}")
        if flags & DEADLINE:
            remaining_us, rest = struct.unpack(">Q", rest[:8])[0], rest[8:]
            deadline = time.monotonic() + remaining_us / 1e6
        if flags & METADATA:
            rest = rest[2 + struct.unpack(">H", rest[:2])[0] :]
        return kind, index, call, deadline, rest

    def read(self, count):
        data = b""
        while len(data) < count:
            chunk = self.sock.recv(count - len(data))
            if not chunk:
                if data or count != 4:
                    raise ConnectionError("the stream ended within a frame")
                return b""
            data += chunk
        return data

    def shake_hands(self):
        frame = self.receive()
        if frame is None or frame[0] != HELLO:
            return False
        hello = json.loads(frame[4])
        if hello["protocol"] != 1:
            self.send_error(18, "version 1 is spoken here")
        elif hello["codec"] != "json":
            self.send_error(17, f"there is no codec {hello['codec']!r} here, only 'json'")
        elif hello.get("deadline_clock", "remaining") != "remaining":
            self.send_error(19, "this worker and its host have no clock in common")
        else:
            self.max_frame = hello["max_frame"]
            package = {"version": "1", "origin": "foreign"}
            table = [{"name": name, "arguments": "body"} for name in NAMES]
            welcome = {"protocol": 1, "codec": "json", "pid": os.getpid(), "python": "none"}
            welcome |= {"package": package, "functions": table}
            self.send(WELCOME, body=json.dumps(welcome).encode())
            return True
        return False

    def serve(self):
        while not self.ended:
            # Whatever is there is taken in first: it may cancel what is queued.
            while not self.ended and self.has_input():
                self.take_in(self.receive())
            if self.queue:
                self.answer(*self.queue.pop(0))
            elif not self.ended:
                self.send(GOODBYE)
                return

    def has_input(self):
        """Wait for the host: as long as it takes, unless there is something else to do."""
        patience = None
        if self.queue or self.host_drains:
            patience = 0
        elif self.draining:
            patience = 0.2  # For what has crossed the Drain on its way.
        return bool(select.select([self.sock], [], [], patience)[0])

    def take_in(self, frame):
        if frame is None or frame[0] == GOODBYE:
            self.ended = True
            return
        kind, index, call, deadline, body = frame
        if kind == REQUEST and self.draining:
            self.send_error(8, "this worker leaves", call)
        elif kind == REQUEST:
            self.queue.append((index, call, deadline, body))
        elif kind == CANCEL:
            self.cancelled.add(call)
        elif kind == PING:
            self.send(PONG, body=body)
        elif kind == DRAIN:
            print("drain", flush=True)
            self.host_drains = True
        else:
            raise ConnectionError(f"kind {kind:#x} at this moment")

    def answer(self, index, call, deadline, body):
        try:
            reply = self.run(index, call, deadline, body)
        except Failed as failed:
            self.send_error(failed.status, failed.message, call)
        except Exception as error:
            trace = traceback.format_exc()[-4096:]
            self.send_error(1, str(error), call, type(error).__name__, trace)
        else:
            if NAMES[index] == "leave":
                self.draining = True
                self.send(DRAIN)
            self.send(REPLY, call, body=reply)

    def run(self, index, call, deadline, body):
        if call in self.cancelled:
            print("cancelled", flush=True)
            raise Failed(7, "nobody waits")
        if deadline is not None and time.monotonic() >= deadline:
            print("expired", flush=True)
            raise Failed(6, "too late")
        if index >= len(FUNCTIONS):
            raise Failed(2, f"there is no function {index}")
        try:
            argument = json.loads(body)
        except ValueError as error:
            raise Failed(5, str(error)) from None
        if NAMES[index] == "sleep" and not isinstance(argument, (int, float)):
            raise Failed(3, f"$: expected float, got {type(argument).__name__}")
        record = {"level": 20, "logger": "foreign", "message": f"{NAMES[index]} begins"}
        self.send(LOG, call, body=json.dumps(record).encode())
        result = FUNCTIONS[index](argument)
        try:
            reply = json.dumps(result, allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            raise Failed(4, f"$: {error}") from None
        if 12 + len(reply) > self.max_frame:
            raise Failed(9, f"the reply has {len(reply)} bytes")
        return reply


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    while True:
        with listener.accept()[0] as sock:
            connection = Connection(sock)
            try:
                if connection.shake_hands():
                    connection.serve()
            except BrokenPipeError:
                pass  # The host is gone, and wants no answer.
            except OSError as error:
                print(f"left: {error}", flush=True)
            if connection.host_drains:
                return


if __name__ == "__main__":
    main()
