"""Which loop a spawned worker runs: the compiled one, where it is installed, or the pure one.

The compiled one is the distribution `pyproc-native`, a module without any Python files. It knows
this package's insides, so it must be of the same version.
"""

from __future__ import annotations

import sys
from functools import partial

from . import _version
from ._codec import Codec, offer
from ._handshake import Refusal
from ._protocol import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


class Core:
    """The compiled core, found fit to serve."""

    __slots__ = ("codecs", "module")

    module: ModuleType

    codecs: tuple[Codec, ...]
    """What it encodes and decodes itself."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.codecs = tuple(
            Codec(name, partial(module.encode, name), partial(module.decode, name), binary=binary)
            for name, binary in (("json", False), ("msgpack", True))
        )

    def offer_codecs(self) -> None:
        """Have its codecs offered to hosts, so that they need no other package."""
        for codec in self.codecs:
            offer(codec)


def choose(wanted: str) -> Core | None:
    """Return the compiled core, or `None` where the pure loop is to run.

    `wanted` is `auto`, `native` or `pure`. Raises `Refusal` where it cannot be had.
    """
    if wanted == "pure":
        return None
    try:
        import pyproc_native
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyproc_native":
            reason = f"{sys.executable} does not have it"
        else:
            reason = f"it is there and cannot be loaded: {error}"
            _say(wanted, reason)
    else:
        if pyproc_native.VERSION == _version.VERSION:
            return Core(pyproc_native)
        reason = f"version {pyproc_native.VERSION} is there, {_version.VERSION} is needed"
        _say(wanted, reason)
    if wanted == "native":
        install = f"{sys.executable} -m pip install pyproc-native=={_version.VERSION}"
        message = f"the native core is asked for, and {reason}; install it: {install}"
        raise Refusal(Status.START_FAILED, message)
    return None


def _say(wanted: str, reason: str) -> None:
    """Tell whoever has installed it why it is not used; nobody misses what is not there."""
    if wanted == "auto":
        print(f"pyproc: the native core is not used: {reason}", file=sys.stderr)
