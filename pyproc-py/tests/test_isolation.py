"""What a worker does to its own process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from host import PACKAGE

# The process is changed for good, so each case has one of its own.
PRELUDE = """
import json, os, resource
from pyproc._isolation import NotAllowed, isolate

if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)

def refused(wishes):
    try:
        isolate(wishes)
    except NotAllowed as error:
        print(error)
    else:
        print("allowed")
"""


def said_by(code: str) -> str:
    command = [sys.executable, "-c", PRELUDE + code]
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_changed_that_is_not_asked_for() -> None:
    code = """
before = [resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd()]
isolate({})
print(before == [resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd()])
"""
    assert said_by(code) == "True"


def test_limits_are_set_and_a_hard_one_may_stay() -> None:
    code = """
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
isolate({"limits": [["RLIMIT_CORE", 0, None], ["RLIMIT_NOFILE", 50, 60]]})
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, hard)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert said_by(code) == "(50, 60)"


def test_a_limit_that_may_not_be_raised_is_named() -> None:
    code = """
isolate({"limits": [["RLIMIT_NOFILE", 50, 60]]})
refused({"limits": [["RLIMIT_NOFILE", 50, 61]]})
"""
    said = said_by(code)
    assert said.startswith("RLIMIT_NOFILE cannot be set to 50 (hard 61): not allowed to raise")
    assert said.endswith("it is 50 (hard 60)")


def test_no_limit_is_what_the_system_calls_so() -> None:
    code = """
resource.RLIM_INFINITY = 2**63 - 1  # As on macOS.
resource.getrlimit = lambda number: (10, 2**63 - 1)
resource.setrlimit = lambda number, limits: print(limits == (2**63 - 1, 2**63 - 1))
isolate({"limits": [["RLIMIT_CORE", -1, -1], ["RLIMIT_CORE", -1, None]]})
def refuse(number, limits): raise ValueError("no")
resource.setrlimit = refuse
refused({"limits": [["RLIMIT_CORE", 5, -1]]})
"""
    said = "RLIMIT_CORE cannot be set to 5 (hard unlimited): no; it is 10 (hard unlimited)"
    assert said_by(code).splitlines() == ["True", "True", said]


def test_a_limit_that_this_system_does_not_have_is_named() -> None:
    said = said_by('refused({"limits": [["RLIMIT_NO_SUCH", 0, -1]]})')
    assert said == "RLIMIT_NO_SUCH cannot be set: this system does not have it"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_a_score_that_may_not_be_lowered_is_named() -> None:
    said = said_by('refused({"oom_score_adj": -900})')
    assert said.startswith("oom_score_adj cannot be set to -900: Permission denied; it is ")
    assert said.endswith("lowering it needs CAP_SYS_RESOURCE")


def test_a_directory_that_may_not_be_entered_is_named() -> None:
    said = said_by('refused({"working_directory": "/nowhere"})')
    assert said == "the working directory /nowhere cannot be entered: No such file or directory"
