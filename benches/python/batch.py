"""The worker of the scenario `batch`: what a call costs, and what it costs once for many."""

import time

from pyproc import expose


def spend_a_millisecond() -> None:
    """Compute for 1 ms of this process's own time, however often it is interrupted."""
    end = time.process_time_ns() + 1_000_000
    while time.process_time_ns() < end:
        pass


@expose
def single(body: dict[str, int]) -> dict[str, int]:
    spend_a_millisecond()
    return {"result": body["value"] * 2}


@expose(batch=32)
def batched(bodies: list[dict[str, int]]) -> list[dict[str, int]]:
    spend_a_millisecond()
    return [{"result": body["value"] * 2} for body in bodies]
