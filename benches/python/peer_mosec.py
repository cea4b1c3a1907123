"""The peer mosec: its HTTP server on the loopback, with MessagePack bodies and one worker.

`single` is what answers one caller soonest; `batches` is its dynamic batching.
"""

import os
import signal
import sys
import threading

try:
    from mosec import Server, Worker
    from mosec.mixin import MsgpackMixin
except ImportError as error:
    print(f"unfit: {error}; `cargo xtask setup --bench` installs it", flush=True)
    sys.exit()


class Single(MsgpackMixin, Worker):
    def forward(self, data):
        return {"result": data["value"] * 2}


class Batches(MsgpackMixin, Worker):
    def forward(self, data):
        return [{"result": one["value"] * 2} for one in data]


def end_with_input():
    """End when the benchmark does, however that ends."""
    sys.stdin.read()
    # What it tells of an orderly end is not worth a reader's time.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # mosec reads the command line by itself, and its worker processes are given the same.
    mode, port = sys.argv[1:]
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", port, "--log-level", "error"]
    threading.Thread(target=end_with_input, daemon=True).start()
    server = Server()
    if mode == "batches":
        # A batch is waited for as briefly as mosec can.
        server.append_worker(Batches, num=1, max_batch_size=64, max_wait_time=1)
    else:
        server.append_worker(Single, num=1)
    print("ready", flush=True)
    server.run()
