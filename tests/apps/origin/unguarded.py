"""Ends with a bare run_worker(), and has a health function of its own."""

from pyproc_worker import expose, run_worker


@expose
def health(req):
    return {"status": "healthy", "model": "loaded"}


@expose
def predict(req):
    return [number + 1 for number in req["numbers"]]


run_worker()
