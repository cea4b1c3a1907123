"""How a worker starts, and what keeps it from starting."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host import BOOTSTRAP, PACKAGE, SOURCES
from listening import connect_json

from pyproc._protocol import Kind, Status

if TYPE_CHECKING:
    from conftest import Spawn


@pytest.mark.parametrize(
    ("source", "type_name", "message"),
    [
        ("x = (", "SyntaxError", "'(' was never closed"),
        ("import nothing_like_it", "ModuleNotFoundError", "No module named"),
        ("raise SystemExit(3)", "SystemExit", "worker.py ended itself while it was imported"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        (
            "from pyproc import expose\n@expose\ndef f(): pass\n@expose\ndef f(): pass\n",
            "RegistrationError",
            "two functions are called `f`: one at worker.py:2, another at worker.py:4",
        ),
        (
            "from pyproc import on_start\n@on_start\nasync def warm(): pass\n",
            "RegistrationError",
            "the hook `warm` (worker.py:2) is async, and there is no event loop here",
        ),
        (
            "from pyproc import expose\n@expose\ndef f(x: 'Absent'): pass\n",
            "SchemaError",
            "function `f`, parameter `x`",
        ),
        ("from pyproc import on_start\n@on_start\ndef f(): 1 / 0\n", "ZeroDivisionError", ""),
    ],
)
def test_what_is_wrong_with_the_script_is_told(
    spawn: Spawn, source: str, type_name: str, message: str
) -> None:
    host = spawn(source)
    status, error = host.refused()
    assert (status, error["type"]) == (Status.START_FAILED, type_name)
    assert error["message"].startswith(message)
    assert "worker.py" in error["traceback"] or type_name == "SchemaError"
    assert "pyproc/_" not in error["traceback"].replace("<embedded>/pyproc/_registry.py", "")
    assert "<frozen" not in error["traceback"]
    assert host.wait()[0] == 1


def test_a_missing_script_is_named(spawn: Spawn, tmp_path: Path) -> None:
    path = str(tmp_path / "absent.py")
    status, error = spawn(target={"path": path}).refused()
    assert (status, error["type"]) == (Status.START_FAILED, "FileNotFoundError")
    assert path in error["message"]


def test_a_missing_module_is_named(spawn: Spawn) -> None:
    status, error = spawn(target={"module": "no.such"}).refused()
    assert (status, error["message"]) == (Status.START_FAILED, "No module named 'no'")


def test_the_traceback_of_an_import_error_shows_the_users_lines(
    spawn: Spawn, tmp_path: Path
) -> None:
    (tmp_path / "iris.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("def f():\n    raise ValueError('deep')\n\nf()\n")
    _, error = spawn(target={"path": str(tmp_path / "iris.py")}).refused()
    places = [line for line in error["traceback"].splitlines() if line.startswith("  File")]
    assert [place.split('"')[1] for place in places] == [
        str(tmp_path / "iris.py"),
        str(tmp_path / "helper.py"),
        str(tmp_path / "helper.py"),
    ]


@pytest.mark.parametrize(
    ("hello", "status", "message"),
    [
        ({"protocol": 2}, Status.UNSUPPORTED_VERSION, "the host speaks version 2"),
        ({"codec": "arrow"}, Status.UNSUPPORTED_CODEC, "there is no codec `arrow`"),
        ({"codec": 1}, Status.INVALID_HELLO, "`codec` is missing"),
        ({"max_frame": 10}, Status.INVALID_HELLO, "`max_frame` is 10"),
        ({"deadline_clock": "sundial"}, Status.INVALID_HELLO, "`deadline_clock` is `sundial`"),
    ],
)
def test_a_handshake_that_cannot_succeed_is_refused(
    spawn: Spawn, hello: dict[str, Any], status: int, message: str
) -> None:
    host = spawn(**hello)
    found, error = host.refused()
    assert found == status
    assert error["message"].startswith(message)
    assert host.wait()[0] == 1


def test_a_first_frame_that_is_no_hello_is_refused(spawn: Spawn) -> None:
    host = spawn(mode="connection", greet=False)
    host.send(Kind.PING)
    status, error = host.refused()
    assert status == Status.INVALID_HELLO
    assert error["message"] == "the host begins with PING, not with HELLO"


def test_a_second_hello_breaks_the_protocol(ready: Spawn) -> None:
    host = ready()
    host.hello()
    err = host.wait()[2]
    assert "the host broke the protocol" in err
    assert "hello" in err.lower()


def test_the_script_is_a_module_of_its_own_name(ready: Spawn, tmp_path: Path) -> None:
    (tmp_path / "iris.py").write_text(
        """
import pickle, sys
from dataclasses import dataclass
from pyproc import expose
@dataclass
class Flower: size: float
@expose
def look(x):
    flower = pickle.loads(pickle.dumps(Flower(1)))
    return [__name__, Flower.__module__, flower.size, sys.path[0], sys.argv, __file__]
if __name__ == "__main__": raise SystemExit("must not run")
"""
    )
    path = str(tmp_path / "iris.py")
    host = ready(target={"path": path})
    assert host.call("look") == ["iris", "iris", 1, str(tmp_path), [path], path]


def test_a_script_called_like_a_module_takes_nobodys_place(ready: Spawn, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(
        "from pyproc import expose\n@expose\ndef name(x): return __name__\n"
    )
    assert ready(target={"path": str(tmp_path / "json.py")}).call("name") == "json_script"


def test_a_module_is_found_on_the_python_path(ready: Spawn, tmp_path: Path) -> None:
    package = tmp_path / "models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "iris.py").write_text(
        "from pyproc import expose\n@expose\ndef name(x): return __name__\n"
    )
    host = ready(target={"module": "models.iris"}, python_path=[str(tmp_path)])
    assert host.call("name") == "models.iris"


def test_source_lines_show_in_tracebacks(ready: Spawn) -> None:
    host = ready("from pyproc import expose\n@expose\ndef f(x):\n    raise ValueError  # here\n")
    host.request(1, "f")
    assert "raise ValueError  # here" in host.failed()[2]["traceback"]


def test_the_working_directory_shadows_nothing(ready: Spawn, tmp_path: Path) -> None:
    for name in ("json", "os", "re", "pyproc", "socket", "struct"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    host = ready("from pyproc import expose\n", cwd=tmp_path)
    assert host.call("health")["status"] == "healthy"


def test_a_foreign_module_of_our_name_is_recognized(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "pyproc.py").write_text("raise SystemExit('foreign')\n")
    host = spawn("import pyproc\n", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert host.welcome()["package"]["origin"] == "embedded"
    host.socket.close()
    assert f"{tmp_path / 'pyproc.py'} is another package" in host.wait()[2]


def test_an_installed_package_of_the_same_protocol_is_used(spawn: Spawn, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    host = spawn("from pyproc_worker import expose\n", env=environment)
    assert host.welcome()["package"]["origin"] == "installed"


def test_an_installed_package_of_another_protocol_is_not_used(spawn: Spawn, tmp_path: Path) -> None:
    package = tmp_path / "pyproc"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "_version.py").write_text("PROTOCOL_VERSION = 99\n")
    host = spawn(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert host.welcome()["package"]["origin"] == "embedded"


def test_scripts_of_the_origin_run_unchanged(ready: Spawn) -> None:
    host = ready(
        """
from pyproc_worker import expose, run_worker

@expose
def predict(req):
    return {"result": req["value"] * 2}

if __name__ == "__main__":
    run_worker()
run_worker("/some/path")
"""
    )
    assert host.call("predict", {"value": 42}) == {"result": 84}


def test_a_host_that_goes_before_the_start_leaves_no_worker() -> None:
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        [sys.executable, "-c", BOOTSTRAP], stdin=theirs.fileno(), stderr=subprocess.PIPE
    ) as process:
        theirs.close()
        ours.close()
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith(b"pyproc: the host closed the connection before")


def test_a_script_that_listens_by_itself(spawn: Spawn, tmp_path: Path) -> None:
    path = str(tmp_path / "worker.sock")
    host = spawn(
        """
import sys
from pyproc_worker import expose, run_worker
@expose
def name(x): return [__name__, sys.stdin.read()]
if __name__ == "__main__":
    print("ready soon")
    run_worker()
    print("ended")
""",
        mode="listen",
        env={**os.environ, "PYPROC_SOCKET_PATH": path},
    )
    assert host.process.stdout is not None
    assert host.process.stdout.readline() == b"ready soon\n"
    with closing(connect_json(path, host.process)) as connection:
        assert connection.call("name", 1) == ["__main__", ""]
    host.process.send_signal(signal.SIGTERM)
    assert host.wait() == (0, "ended\n", "")


def test_a_listening_worker_ends_with_the_host_that_spawned_it(
    spawn: Spawn, tmp_path: Path
) -> None:
    path = str(tmp_path / "worker.sock")
    host = spawn(
        "from pyproc import run_worker\nrun_worker()\n",
        mode="listen",
        env={**os.environ, "PYPROC_SOCKET_PATH": path},
    )
    with closing(connect_json(path, host.process)) as connection:
        assert connection.call("health")["pid"] == host.process.pid
        host.socket.close()
        assert host.wait()[0] == -signal.SIGKILL


def test_a_script_that_should_listen_and_does_not(spawn: Spawn) -> None:
    host = spawn("pass\n", mode="listen")
    code, _, err = host.wait()
    assert (code, err) == (
        1,
        "pyproc: worker.py has ended without listening; does it run_worker()?\n",
    )


def test_the_start_imports_nothing_heavy(spawn: Spawn) -> None:
    heavy = ["asyncio", "inspect", "dataclasses", "typing", "logging", "threading", "traceback"]
    host = spawn(
        f"""
import sys
from pyproc import expose
before = [name for name in {heavy} if name in sys.modules]
@expose
def found(x: int) -> list: return before
""",
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    host.welcome()
    assert host.call("found", 1) == []


def test_the_bundle_holds_every_module() -> None:
    assert set(SOURCES) >= {"pyproc/__init__.py", "pyproc/_worker.py", "pyproc_worker/__init__.py"}
    assert Kind.HELLO == 0x81


def test_a_refusal_fits_into_the_hosts_frames(spawn: Spawn) -> None:
    host = spawn("raise ValueError('x' * 100_000)", max_frame=2000)
    status, error = host.refused()
    assert status == Status.START_FAILED
    assert len(json.dumps(error)) <= 2000 - 12
    host = spawn(max_frame=1024, codec="é" * 2000)
    assert len(json.dumps(host.refused()[1])) <= 1024 - 12


@pytest.mark.parametrize(
    ("name", "value"), [("log_level", 256), ("log_level", -1), ("slot", -1), ("slot", 2**32)]
)
def test_a_number_out_of_its_range_is_refused(spawn: Spawn, name: str, value: int) -> None:
    status, error = spawn(**{name: value}).refused()
    assert status == Status.INVALID_HELLO
    assert error["message"].startswith(f"`{name}` is {value}; it must be from 0 to ")
