"""The floor: a bare loop that sends back what it reads on the socket that is its descriptor 0."""

import os
import socket

_core = os.environ.get("PYPROC_BENCH_WORKER_CORE")
if _core is not None and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(_core)})

with socket.socket(fileno=0) as connection:
    while data := connection.recv(65536):
        connection.sendall(data)
