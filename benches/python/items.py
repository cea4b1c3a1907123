"""The floor of a stream: a bare loop that sends the items that it is asked for, many at a time."""

import socket
import struct

REQUEST = struct.Struct("<QQ")
HEADER = bytes(16)
AT_ONCE = 256

with socket.socket(fileno=0) as connection:
    while request := connection.recv(REQUEST.size):
        items, size = REQUEST.unpack(request)
        rest = bytes(size - 8)
        for first in range(0, items, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, items))
            chunk = [HEADER + number.to_bytes(8, "little") + rest for number in numbers]
            connection.sendall(b"".join(chunk))
