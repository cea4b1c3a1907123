"""A socket file on which a worker listens."""

from __future__ import annotations

import os
import stat
from socket import AF_UNIX, SOCK_STREAM, socket

from ._errors import PyprocError


class Listener:
    """Listens on a path that nobody else listens on, for this user alone."""

    def __init__(self, path: str) -> None:
        """Bind and listen. Raises `PyprocError`, naming the path and what is in the way."""
        self.path = path
        self._is_closed = False
        _remove_stale(path)
        self.socket = socket(AF_UNIX, SOCK_STREAM)
        try:
            self.socket.bind(path)
            # Nobody can connect before `listen`, so nobody slips in before this.
            os.chmod(path, 0o600)
            self.socket.listen(128)
            self.socket.setblocking(False)
            self._identity = _identity(path)
        except OSError as error:
            self.socket.close()
            raise PyprocError(f"cannot listen on {path}: {error.strerror or error}") from None

    def accept(self) -> socket | None:
        """Return a new connection, if one waits.

        Raises `OSError` where the process may open no more of them.
        """
        try:
            return self.socket.accept()[0]
        except (BlockingIOError, ConnectionAbortedError):
            return None

    def close(self) -> None:
        """Stop listening and remove the file, unless somebody has put another one there.

        Only the first time: once the file is gone its inode may be the one of a successor's.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # Before the socket closes, for a successor takes the place of a socket that nobody has.
            if _identity(self.path) == self._identity:
                os.unlink(self.path)
        except OSError:
            pass  # It is gone, or its directory is; the next worker replaces what is left.
        finally:
            self.socket.close()


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _remove_stale(path: str) -> None:
    """Remove what a worker that was killed has left; touch nothing else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise PyprocError(f"cannot listen on {path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise PyprocError(f"cannot listen on {path}: there is something that is not a socket")
    with socket(AF_UNIX, SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # Its line of waiting connections is full, for example: somebody is there.
    raise PyprocError(f"cannot listen on {path}: another process listens there")
