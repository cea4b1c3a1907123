"""Several functions, state of the module, an error, and a path given by hand."""

import os
import statistics

from pyproc_worker import expose, run_worker

CALLS = {"count": 0}


@expose
def predict(req):
    CALLS["count"] += 1
    values = req.get("values", [])
    return {"mean": statistics.fmean(values), "calls": CALLS["count"]}


@expose
def fail(req):
    raise ValueError("no such model: " + req["model"])


if __name__ == "__main__":
    run_worker(os.environ["PYPROC_SOCKET_PATH"])
