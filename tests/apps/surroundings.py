"""Functions that tell what a worker finds around it."""

import logging
import os
import resource
import sys
import time
import warnings
from pathlib import Path

from pyproc import Context, expose

logging.getLogger("surroundings").info("loaded by %d", os.getpid())


@expose
def environment() -> dict[str, str]:
    return dict(os.environ)


@expose
def path() -> list[str]:
    return sys.path


@expose
def process_group() -> int:
    return os.getpgid(0)


@expose
def title() -> list[str]:
    """What ps shows: the command line, and the short name."""
    command_line = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    return [command_line, Path("/proc/self/comm").read_text().strip()]


@expose
def process() -> dict[str, object]:
    """What the worker may do, and where it runs."""
    names = ("RLIMIT_NOFILE", "RLIMIT_CPU", "RLIMIT_CORE")
    mask = os.umask(0)
    os.umask(mask)
    return {
        "directory": os.getcwd(),
        "umask": mask,
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "limits": {name: list(resource.getrlimit(getattr(resource, name))) for name in names},
    }


@expose
def stdin() -> str:
    return sys.stdin.read()


@expose
def speak() -> None:
    print("said on stdout")
    print("said on stderr", file=sys.stderr)
    logging.getLogger("surroundings.voice").warning("logged as %s", "a warning")
    logging.getLogger("surroundings.voice").debug("not asked for")
    warnings.warn("a warning of Python's", stacklevel=1)


@expose
def shout(lines: int) -> None:
    """Says each line in every way that there is."""
    logger = logging.getLogger("surroundings.voice")
    for number in range(lines):
        line = f"shouted {number} {'x' * 1000}"
        print(line)
        print(line, file=sys.stderr)
        logger.warning(line)


@expose
def speak_and_exit(lines: int) -> None:
    time.sleep(0.05)
    for line in range(lines):
        logging.getLogger("surroundings.voice").warning("line %d of the last words", line)
    os._exit(3)


@expose
def remaining(context: Context) -> float | None:
    return context.remaining()
