"""The worker of the benchmark: the smallest function that still does something."""

import os
import platform
import time

from pyproc import expose

_core = os.environ.get("PYPROC_BENCH_WORKER_CORE")
if _core is not None and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(_core)})


@expose
def predict(body: dict[str, int]) -> dict[str, int]:
    return {"result": body["value"] * 2}


@expose
def cpu_seconds() -> float:
    """Return the processor time that this worker has used."""
    return time.process_time()


@expose
def python_version() -> str:
    return platform.python_version()
