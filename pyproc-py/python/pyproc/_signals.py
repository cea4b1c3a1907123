"""The wish of somebody outside that the worker should stop, as a flag and a descriptor."""

from __future__ import annotations

import os
import signal

from ._stdio import duplicate_high

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class StopSignal:
    """Remembers that SIGTERM came; a loop asks between calls, and waits for its descriptor."""

    def __init__(self) -> None:
        self.requested = False
        given = os.pipe()
        # The interpreter writes there at each signal, whatever user code that closes what it has
        # not opened may have put in its place.
        self._reader, self._writer = map(duplicate_high, given)
        for descriptor in given:
            os.close(descriptor)
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def install(self, *numbers: int) -> None:
        """Handle these signals from now on. Only the main thread may."""
        for number in numbers:
            self._before[number] = signal.signal(number, self._handle)
        # Written to in C, at any moment. A handler in Python runs only between bytecodes.
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def request(self) -> None:
        """Ask the loop to stop, from any thread."""
        self.requested = True
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            pass  # It is full of wishes to wake up already.

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal has come."""
        return self._reader

    def clear(self) -> None:
        """Forget that the descriptor became readable; the flag stays."""
        try:
            while len(os.read(self._reader, 512)) == 512:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the signals back, and close the descriptors."""
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()
        os.close(self._reader)
        os.close(self._writer)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            # The second Ctrl-C is not patient. It ends the process where an exception would only
            # end the call or the hook that runs.
            signal.signal(number, signal.SIG_DFL)
        # User code may have taken the wake-up descriptor away, as event loops do.
        self.request()
