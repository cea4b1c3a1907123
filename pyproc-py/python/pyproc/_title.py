"""The name under which tools like `ps` and `top` show the process."""

from __future__ import annotations


def set_title(title: str) -> None:
    """Show the process as `title`, where the system allows it (Linux); elsewhere do nothing."""
    data = title.encode()
    try:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(data[:15])
        with open("/proc/self/stat", "rb") as stat:
            # The second field, the command, may itself contain spaces and parentheses.
            fields = stat.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        if end - start < 2:
            return
        # The kernel shows text up to a NUL where the last byte of the arguments is none.
        shown = data[: end - start - 2]
        area = shown.ljust(end - start - 1, b"\0") + b" "
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(area)
    except (OSError, ValueError, IndexError):
        pass
