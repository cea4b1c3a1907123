"""Puts the calls of a batch together, and answers them."""

from __future__ import annotations

import sys

from ._context import running_request
from ._dispatch import ARGUMENTS, FUNCTION, RESULT, exit_before, explain
from ._errors import InvalidResult, ItemError
from ._interrupt import was_interrupted
from ._protocol import Status
from ._runner import EXPIRED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._codec import Codec
    from ._connection import Connection
    from ._interrupt import Running
    from ._registry import Function
    from ._request import Request


def is_short(connection: Connection, first: Request, size: int) -> bool:
    """Whether the batch that begins with this call may wait for others.

    It does so only as long as nothing else waits for the worker.
    """
    requests = connection.requests
    if connection.has_ended or connection.is_draining or connection.moving:
        return False
    # The first one is not there any more when it was cancelled.
    is_there = 0 < len(requests) < size and requests[0] is first
    return is_there and all(each.function == first.function for each in requests)


def take_batch(
    connection: Connection, function: int | str, size: int, now_ns: int
) -> tuple[list[Request], list[Request]]:
    """Take up to `size` calls of a function out of those that wait, past the calls of others.

    Calls whose time is over are refused, and do not count. Returns them, and those that were
    passed over.
    """
    requests = connection.requests
    batch: list[Request] = []
    overtaken: list[Request] = []
    while requests and len(batch) < size:
        request = requests.popleft()
        if request.function != function:
            overtaken.append(request)
        elif request.deadline_ns is not None and now_ns >= request.deadline_ns:
            connection.fail(request.call, Status.DEADLINE, EXPIRED)
        else:
            batch.append(request)
    requests.extendleft(reversed(overtaken))
    return batch, overtaken


def answer_batch_with(
    function: Function, codec: Codec, running: Running
) -> Callable[[list[Request]], None]:
    """Return what runs batches of this function, with bodies in this codec.

    It does for all calls of a batch what `answer_with` does for one. A call whose arguments do not
    fit, or whose result cannot be sent, fails alone. While the batch runs, it is interrupted by the
    id of its last call.
    """
    bind = function.binding.bind
    takes_body_as_it_is = function.binding.takes_body_as_it_is
    call = function.call
    decode = codec.decode
    dump, encode = codec.dump, codec.encode

    def answer(requests: list[Request]) -> None:
        connection = requests[0].connection
        last = requests[-1].call
        bodies: dict[int, bytes] = {}
        failed: dict[int, tuple[BaseException, int]] = {}
        stage = ARGUMENTS
        exit: SystemExit | None = None
        # No one call is the one that runs.
        running_request.set(None)
        try:
            try:
                running.call = last
                values = []
                for request in requests:
                    try:
                        value = decode(request.body)
                        if not takes_body_as_it_is:
                            ((value,), _) = bind(value)
                        values.append(value)
                    except Exception as error:
                        failed[request.call] = error, stage
                if values:
                    stage = FUNCTION
                    results = call(values)
                    stage = RESULT
                    results = iter(results_of(function.name, results, len(values)))
                    for request in requests:
                        if request.call in failed:
                            continue
                        result = next(results)
                        if isinstance(result, ItemError):
                            failed[request.call] = result.error, FUNCTION
                            continue
                        try:
                            bodies[request.call] = encode(dump(result))
                        except Exception as error:
                            failed[request.call] = error, stage
            finally:
                running.call = 0
        except BaseException as error:
            # An interrupt may have come in place of this before.
            running.call = 0
            exit = error if isinstance(error, SystemExit) else exit_before(error)
            if exit is None:
                status, failure = explain(error, stage)
                if was_interrupted(running, last, error):
                    status = Status.INTERRUPTED
                for request in requests:
                    if request.call not in bodies and request.call not in failed:
                        connection.fail(request.call, status, failure)
        for request in requests:
            if request.call in bodies:
                connection.reply(request.call, bodies[request.call])
            elif request.call in failed:
                connection.fail(request.call, *explain(*failed[request.call]))
        if exit is not None:
            raise exit from None

    return answer


def results_of(name: str, results: Any, calls: int) -> list[object]:
    """Return what a batch has returned, one result for each of its calls.

    Raises `InvalidResult` for what is no list of so many.
    """
    numpy = sys.modules.get("numpy")
    if not isinstance(results, (list, tuple)) and not (
        numpy is not None and isinstance(results, numpy.ndarray) and results.ndim
    ):
        kind = "None" if results is None else type(results).__name__
        message = f"function `{name}` takes batches, and returned {kind} instead of a list"
        raise InvalidResult("$", message)
    # A class of the user's may say one thing by its length and another by its items.
    listed: list[object] = list(results)
    if len(listed) != calls:
        message = f"function `{name}` returned {len(listed)} results for a batch of {calls} calls"
        raise InvalidResult("$", message)
    return listed
