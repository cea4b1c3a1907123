"""Starts a worker; a host passes this text to `python -c`.

It reads the bundle from descriptor 0: a 4-byte length and JSON with the sources of the package,
which are served from memory, so that an interpreter needs to have nothing installed. Where it has
an installed `pyproc` that speaks the same protocol, that one is used.
"""

from __future__ import annotations

import sys

# The working directory, which `-c` puts first, could shadow the standard library.
sys.path[:] = [entry for entry in sys.path if entry]

import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
from importlib.machinery import ModuleSpec, PathFinder  # noqa: E402
from types import ModuleType  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def read(count: int) -> bytes:
    """Read exactly `count` bytes: what follows them is not for us."""
    data = bytearray()
    while len(data) < count:
        chunk = os.read(0, min(count - len(data), 1 << 20))
        if not chunk:
            sys.exit("pyproc: the host closed the connection before the worker had started")
        data += chunk
    return bytes(data)


class Embedded:
    """Finds and loads the modules of the bundle."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = name.replace(".", "/")
        for candidate in (f"{file}/__init__.py", f"{file}.py"):
            if candidate in self.sources:
                is_package = candidate.endswith("/__init__.py")
                origin = f"<embedded>/{candidate}"
                loader: Any = self
                spec = ModuleSpec(name, loader, origin=origin, is_package=is_package)
                spec.has_location = True
                spec.loader_state = self.sources[candidate]
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        exec(compile(spec.loader_state, spec.origin, "exec", dont_inherit=True), vars(module))

    def get_source(self, name: str) -> str | None:
        spec = self.find_spec(name)
        return None if spec is None else str(spec.loader_state)

    def is_package(self, name: str) -> bool:
        return f"{name.replace('.', '/')}/__init__.py" in self.sources


def installed_protocol() -> tuple[str | None, int | None]:
    """Return where another `pyproc` is and the protocol it speaks, without importing it."""
    spec = PathFinder.find_spec("pyproc")
    if spec is None or spec.origin is None:
        return None, None
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py")) as file:
            match = re.search(r"^PROTOCOL_VERSION = (\d+)$", file.read(), re.MULTILINE)
    except (OSError, ValueError):
        match = None
    return spec.origin, int(match[1]) if match else None


def start() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036
        sys.exit(f"pyproc: Python 3.10 or newer is needed; {sys.executable} is {sys.version}")
    bundle = json.loads(read(int.from_bytes(read(4), "big")))
    sources = bundle.pop("modules")
    ignored, protocol = installed_protocol()
    origin = "embedded"
    if protocol == bundle["protocol"]:
        origin, ignored = "installed", None
        # Nobody but a host has `pyproc_worker`, the name under which the origin's scripts know us.
        sources = {name: text for name, text in sources.items() if name.startswith("pyproc_w")}
    sys.meta_path.insert(0, Embedded(sources))
    from pyproc._worker import main

    main(bundle, origin, ignored)


if __name__ == "__main__":
    start()
