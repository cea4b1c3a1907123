"""What every test must leave behind: nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from host import Host

from pyproc import _hooks, _registry


def children() -> list[str]:
    """Return the processes that this one has started and not reaped."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        return []
    found = []
    for task in tasks.iterdir():
        try:
            found += (task / "children").read_text().split()
        except FileNotFoundError:
            pass  # The thread has ended meanwhile.
    return found


def descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            found[name] = os.readlink(f"/dev/fd/{name}")
        except OSError:
            pass  # It was the one that the list was read through.
    return found


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    before = descriptors()
    yield
    assert children() == []
    after = descriptors()
    assert {name: what for name, what in after.items() if name not in before} == {}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test functions and hooks of its own."""
    monkeypatch.setattr(_registry.REGISTRY, "_functions", {})
    monkeypatch.setattr(_hooks, "_starting", [])
    monkeypatch.setattr(_hooks, "_stopping", [])


Spawn = Callable[..., Host]

CORES = os.environ.get("PYPROC_TEST_CORES", "").split() or [
    "pure",
    *(["native"] if find_spec("pyproc_native") else []),
]
"""The loops to test: those that are there, unless somebody knows which must be."""


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest) -> str:
    """Run the test once with each loop, of which this is the name."""
    return str(request.param)


@pytest.fixture
def spawn(core: str) -> Iterator[Spawn]:
    """Start workers from source text, and end them after the test."""
    hosts: list[Host] = []

    def start(source: str = "", **options: Any) -> Host:
        options.setdefault("core", core)
        target = options.pop("target", {"name": "worker.py", "source": source})
        hosts.append(Host(target, **options))
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def ready(spawn: Spawn) -> Spawn:
    """Like `spawn`, with the handshake done."""

    def start(source: str = "", **options: Any) -> Host:
        host = spawn(source, **options)
        host.welcome()
        return host

    return start
