"""The command line, and scripts that run by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from host import PACKAGE, TIMEOUT_SECONDS
from listening import connect_json

from pyproc import PyprocError, _run, run_worker

SCRIPT = """
from pyproc import expose, on_start, on_stop, current_context
import sys
@expose
def add(a: int, b: int = 2) -> int:
    return a + b
@expose
def fail(x):
    raise ValueError("bad")
@expose
def thing(x): return object()
@expose
def leave(x): sys.exit(3)
@expose
def stop(x):
    breakpoint()
    return x
@expose
def who(x): return current_context().call_id
@on_start
def hello(): print("started", file=sys.stderr)
@on_stop
def bye(): print("stopped", file=sys.stderr)
if __name__ == "__main__":
    raise SystemExit("must not run")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "app.py"
    path.write_text(SCRIPT)
    return str(path)


def run(*arguments: str, stdin: str = "", cwd: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        cwd=cwd,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def pyproc(*arguments: str, stdin: str = "", cwd: Path | None = None) -> tuple[int, str, str]:
    return run("-m", "pyproc", *arguments, stdin=stdin, cwd=cwd)


def test_list_shows_functions_and_signatures(script: str) -> None:
    code, out, _ = pyproc(script, "--list")
    assert code == 0
    assert out.splitlines()[:2] == ["add(a: int, b: int = …) -> int", "fail(x: Any) -> Any"]
    assert out.splitlines()[-1] == "health() -> dict[str, object]"


def test_call_prints_the_result_as_json(script: str) -> None:
    assert pyproc(script, "--call", "add", '{"a":1}') == (0, "3\n", "started\nstopped\n")
    assert pyproc(script, "--call", "who", "1")[1] == "1\n"


def test_call_shows_the_traceback_of_an_exception(script: str) -> None:
    code, out, err = pyproc(script, "--call", "fail", "1")
    assert (code, out) == (1, "")
    assert err.startswith("started\nTraceback (most recent call last):\n")
    assert f'File "{script}", line' in err
    assert "pyproc/_" not in err
    assert "ValueError: bad" in err


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("add", '{"a":"x"}', "$.a: expected int, got str"),
        ("add", "{", "the body is not JSON"),
        ("ad", "1", "function `ad` is not exposed (did you mean `add`?)"),
        ("thing", "1", "$: an object cannot be sent"),
    ],
)
def test_call_says_in_one_line_what_does_not_fit(
    script: str, name: str, body: str, message: str
) -> None:
    code, out, err = pyproc(script, "--call", name, body)
    assert (code, out) == (1, "")
    assert f"pyproc: {message}" in err
    assert "Traceback" not in err


def test_call_ends_as_the_function_wishes(script: str) -> None:
    assert pyproc(script, "--call", "leave", "1")[0] == 3


def test_call_works_with_pdb(script: str) -> None:
    code, out, _ = pyproc(script, "--call", "stop", "5", stdin="p x + 1\ncontinue\n")
    assert code == 0
    assert "(Pdb) 6" in out
    assert out.endswith("5\n")


def test_a_module_is_found_in_the_working_directory(tmp_path: Path) -> None:
    package = tmp_path / "models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "iris.py").write_text(SCRIPT)
    assert pyproc("models.iris", "--call", "add", '{"a":1}', cwd=tmp_path)[1] == "3\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.py", "--list"), "there is no script {}/nowhere.py"),
        (("app.py", "--list", "--codec", "arrow"), "there is no codec `arrow`"),
        (("app.py", "--socket", "absent/x.sock"), "cannot listen on {}/absent/x.sock: No such"),
        (("app.py", "--socket", "x" * 200), "AF_UNIX path too long"),
    ],
)
def test_mistakes_are_told_in_one_line(
    script: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = pyproc(*arguments, cwd=tmp_path)
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("pyproc: ")
    assert message.format(tmp_path) in last


def test_an_import_error_shows_the_users_lines(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("1 / 0\n")
    code, _, err = pyproc("app.py", "--list", cwd=tmp_path)
    assert code == 1
    assert err.startswith(f'Traceback (most recent call last):\n  File "{tmp_path}/app.py", line 1')
    assert err.endswith("pyproc: app.py could not be imported\n")


ORIGIN = """
from pyproc_worker import expose, run_worker

@expose
def predict(req):
    return {"result": req["value"] * 2}

if __name__ == "__main__":
    run_worker(%s)
"""


@pytest.mark.parametrize("how", ["environment", "option", "argument", "parameter", "command"])
def test_a_script_of_the_origin_listens(tmp_path: Path, how: str) -> None:
    path = str(tmp_path / "worker.sock")
    script = tmp_path / "app.py"
    script.write_text(ORIGIN % (repr(path) if how == "parameter" else ""))
    arguments = {
        "option": [str(script), "--socket", path],
        "argument": [str(script), path],
        "command": ["-m", "pyproc", str(script), "--socket", path],
    }.get(how, [str(script)])
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    if how == "environment":
        environment["PYPROC_SOCKET_PATH"] = path
    with subprocess.Popen([sys.executable, *arguments], env=environment) as process:
        try:
            with closing(connect_json(path, process)) as host:
                assert host.call("predict", {"value": 42}) == {"result": 84}
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_SECONDS) == 0
        finally:
            process.kill()


def test_run_worker_without_a_path_says_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(ORIGIN % "")
    code, _, err = run(str(script))
    assert code == 1
    assert f"set PYPROC_SOCKET_PATH, or run: python {script} --socket PATH" in err


def test_the_arguments_of_another_program_are_no_socket_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYPROC_SOCKET_PATH", raising=False)
    monkeypatch.setattr(_run, "is_hosted", False)
    monkeypatch.setattr(sys, "argv", ["pytest", "/nowhere/at/all"])
    with pytest.raises(PyprocError, match="needs the path of a socket"):
        run_worker()
