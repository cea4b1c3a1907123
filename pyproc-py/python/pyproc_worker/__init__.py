"""The names under which scripts written for the origin of this project know `pyproc`."""

from pyproc import expose, run_worker

__all__ = ["expose", "run_worker"]
