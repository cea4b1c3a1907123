"""Lets a script be a worker by itself."""

from __future__ import annotations

import os
import sys

from ._errors import PyprocError

is_hosted = False
"""Whether somebody else, a host or the command line, runs the worker in this process."""

has_listened = False
"""Whether a script in this process has been a worker by itself."""


def run_worker(socket_path: str | os.PathLike[str] | None = None) -> None:
    """Serve the exposed functions on a Unix socket, until SIGTERM or Ctrl-C.

    The path is `socket_path`, or else `PYPROC_SOCKET_PATH` from the environment, or else the
    argument of `--socket`, or the only argument of the command line; the command line counts only
    where the script that is run calls this itself. Does nothing in a module that a host or
    `python -m pyproc` has imported: they run the worker themselves.

    Raises `PyprocError` where there is no path, or nothing can listen there.
    """
    global has_listened
    if is_hosted:
        return
    path = os.fspath(socket_path) if socket_path else os.environ.get("PYPROC_SOCKET_PATH")
    # The arguments of another program, a test runner's for example, are not meant for this.
    if not path and sys._getframe(1).f_globals.get("__name__") == "__main__":
        path = _path_from_arguments()
    if not path:
        script = sys.argv[0] or "worker.py"
        raise PyprocError(
            "run_worker() needs the path of a socket to listen on: set PYPROC_SOCKET_PATH, "
            f"or run: python {script} --socket PATH; a host needs neither, it imports the script"
        )
    from ._listen import listen

    listen(path)
    has_listened = True


def _path_from_arguments() -> str | None:
    arguments = sys.argv[1:]
    for index, argument in enumerate(arguments):
        if argument.startswith("--socket="):
            return argument.partition("=")[2]
        if argument == "--socket" and index + 1 < len(arguments):
            return arguments[index + 1]
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        return arguments[0]
    return None
