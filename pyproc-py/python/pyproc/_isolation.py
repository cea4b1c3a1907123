"""What a worker does to its own process before it loads any code of the user's."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class NotAllowed(Exception):
    """The system refuses what the host asks for."""


def isolate(wishes: Mapping[str, Any]) -> None:
    """Set the limits, the score, the mask and the directory that a bundle names.

    Raises `NotAllowed`, naming what was refused and what it is now.
    """
    for name, soft, hard in wishes.get("limits", ()):
        _limit(name, soft, hard)
    if "oom_score_adj" in wishes:
        _set_oom_score(wishes["oom_score_adj"])
    if "umask" in wishes:
        os.umask(wishes["umask"])
    if "working_directory" in wishes:
        path = wishes["working_directory"]
        try:
            os.chdir(path)
        except OSError as error:
            message = f"the working directory {path} cannot be entered: {error.strerror}"
            raise NotAllowed(message) from None


def _limit(name: str, soft: int, hard: int | None) -> None:
    """Set a limit; -1 is none, and `None` leaves the hard one as it is."""
    import resource

    number = getattr(resource, name, None)
    if number is None:
        raise NotAllowed(f"{name} cannot be set: this system does not have it")
    present = resource.getrlimit(number)
    # Which number means none is the system's to say.
    wanted = (
        resource.RLIM_INFINITY if soft == -1 else soft,
        present[1] if hard is None else resource.RLIM_INFINITY if hard == -1 else hard,
    )
    try:
        resource.setrlimit(number, wanted)
    except (OSError, OverflowError, ValueError) as error:
        raise NotAllowed(
            f"{name} cannot be set to {_shown(wanted)}: {error}; it is {_shown(present)}"
        ) from None


def _shown(limits: tuple[int, int]) -> str:
    from resource import RLIM_INFINITY

    soft, hard = ("unlimited" if limit == RLIM_INFINITY else str(limit) for limit in limits)
    return f"{soft} (hard {hard})"


def _set_oom_score(score: int) -> None:
    path = "/proc/self/oom_score_adj"
    try:
        with open(path) as file:
            present = file.read().strip()
    except OSError:
        raise NotAllowed("oom_score_adj cannot be set: this system does not have it") from None
    try:
        with open(path, "w") as file:
            file.write(str(score))
    except OSError as error:
        raise NotAllowed(
            f"oom_score_adj cannot be set to {score}: {error.strerror}; it is {present}, and "
            "lowering it needs CAP_SYS_RESOURCE"
        ) from None
