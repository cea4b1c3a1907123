"""The functions of faults.py in a script that listens by itself."""

from faults import *  # noqa: F403
from pyproc import run_worker

if __name__ == "__main__":
    run_worker()
