"""What the package shows, at run time and to type checkers."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
from host import PACKAGE

import pyproc
from pyproc import testing


def test_all_names_what_is_public() -> None:
    public = {
        name
        for name, value in vars(pyproc).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    public -= {"VERSION"}
    assert public | {"__version__"} == set(pyproc.__all__)
    assert testing.__all__ == ["call"]


def test_everything_public_is_documented() -> None:
    for name in pyproc.__all__:
        if name != "__version__":
            assert getattr(pyproc, name).__doc__, name


def test_the_origins_names_are_the_same_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyproc_worker

    assert pyproc_worker.expose is pyproc.expose
    assert pyproc_worker.run_worker is pyproc.run_worker


TYPED = """
from pyproc import Context, current_context, expose, on_start, testing

@expose
def add(a: int, b: int = 2) -> int:
    return a + b

@expose(name="mul")
def multiply(a: int, b: int) -> int:
    return a * b

@on_start
def start() -> None: ...

reveal_type(add)
reveal_type(multiply)
reveal_type(start)
reveal_type(current_context().remaining())
reveal_type(testing.call(add, {"a": 1}))
add("text")
expose(3)
"""


def test_type_checkers_see_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "typed.py"
    file.write_text(TYPED)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(file)],
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(PACKAGE), "MYPY_CACHE_DIR": str(tmp_path / "cache")},
        check=False,
    )
    # How a default is shown depends on the version of mypy.
    shown = done.stdout.replace(" = ...", "=").splitlines()
    revealed = [line.split('"')[1].replace(" =", "=") for line in shown if "Revealed" in line]
    assert revealed == [
        "def (a: int, b: int=) -> int",
        "def (a: int, b: int) -> int",
        "def ()",
        "float | None",
        "object",
    ]
    errors = [
        line for line in done.stdout.splitlines() if "typed.py" in line and " error: " in line
    ]
    assert len(errors) == 2, done.stdout
