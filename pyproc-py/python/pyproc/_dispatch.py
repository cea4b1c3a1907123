"""From a request to its answer: decode, bind, call, dump, encode."""

from __future__ import annotations

import sys
from time import CLOCK_MONOTONIC, clock_gettime_ns

from ._cancellation import CANCELLATIONS
from ._connection import refusal
from ._context import Context, running_request
from ._errors import CallError, FunctionNotFound, InvalidArgument, InvalidBody, InvalidResult
from ._failure import Failure
from ._interrupt import was_interrupted
from ._protocol import STATUSES, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ._codec import Codec
    from ._fork import ForkGuard
    from ._interrupt import Running
    from ._items import Items
    from ._registry import Function, Registry
    from ._request import Request
    from ._schema import Binding, ItemsParameter
    from ._stream import Stream

    # The one of a function that takes batches is given all requests of one.
    Answer: TypeAlias = Callable[[Any], None]


QUICK_NS = 200_000
"""Calls that take less are answered together; a longer one keeps no finished reply waiting.

It is a small multiple of what it costs to wake the host for each reply.
"""

_NO_ITEM = object()


class Dispatcher:
    """Knows the functions of a worker."""

    def __init__(self, registry: Registry) -> None:
        """Bind all functions. Raises `SchemaError`."""
        self._registry = registry
        self.functions = registry.complete()

    def find(self, reference: int | str) -> Function:
        """Return the function that a request means, by index or by name.

        Raises `FunctionNotFound`.
        """
        if isinstance(reference, str):
            return self._registry[reference]
        if reference < len(self.functions):
            return self.functions[reference]
        raise FunctionNotFound(f"#{reference}")


def answer_with(function: Function, codec: Codec, running: Running) -> Answer:
    """Return what runs requests to this function, with bodies in this codec.

    All that is the same for each of them is looked up here, once. What is returned gives the
    answer to the request's connection, whatever the function does. Only `SystemExit` passes
    through: whoever says that the process should end is obeyed. The request counts as running
    until the next one does; a loop that has none left says so.
    """
    binding = function.binding
    is_stream = function.is_stream
    bind = binding.bind
    context_parameter = binding.context_parameter
    items = binding.items
    takes_body_as_it_is = (
        binding.takes_body_as_it_is and context_parameter is None and items is None
    )
    call = function.call
    decode = codec.decode
    encode: Callable[[Any], Any] = codec.encode
    dump: Callable[[Any], Any] = codec.dump
    if is_stream:
        # What it returns only yields what is to be encoded.
        dump, encode = iter, _as_it_is
    run_as = running_request.set

    def answer(request: Request) -> None:
        stage = ARGUMENTS
        run_as(request)
        try:
            try:
                running.call = request.call
                value = decode(request.body)
                if takes_body_as_it_is:
                    stage = FUNCTION
                    result = call(value)
                else:
                    arguments, keywords = bind(value)
                    if context_parameter is not None:
                        keywords[context_parameter] = Context._of(request)
                    if items is not None:
                        argument = find_items(request, items)
                        argument.begin(decode, running)
                        keywords[items.name] = argument
                    stage = FUNCTION
                    result = call(*arguments, **keywords)
                stage = RESULT
                body = encode(dump(result))
            finally:
                running.call = 0
        except SystemExit:
            raise
        except BaseException as error:
            _fail(request, running, error, stage)
        else:
            if is_stream:
                request.connection.begin(request, body)
            elif request.reply_metadata is None:
                request.connection.reply(request.call, body)
            else:
                request.connection.reply_accompanied(request, body)

    return answer


def arguments_of(
    request: Request,
    binding: Binding,
    decode: Callable[[Any], Any],
    begin_items: Callable[[Any], None],
) -> tuple[Any, Any]:
    """Return what a function is called with beside others: by position, and by name.

    `begin_items` has it read the items that follow the request. Raises `InvalidBody`,
    `InvalidArgument`.
    """
    value = decode(request.body)
    context_parameter, parameter = binding.context_parameter, binding.items
    if binding.takes_body_as_it_is and context_parameter is None and parameter is None:
        return (value,), {}
    arguments, keywords = binding.bind(value)
    if context_parameter is not None:
        keywords[context_parameter] = Context._of(request)
    if parameter is not None:
        items = find_items(request, parameter)
        begin_items(items)
        keywords[parameter.name] = items
    return arguments, keywords


def find_items(request: Request, parameter: ItemsParameter) -> Items:
    """Return the argument whose items follow the request. Raises `InvalidArgument`."""
    items = request.connection.items.get(request.call)
    if items is None:
        message = f"argument `{parameter.name}` is a stream, and no items were to follow"
        raise InvalidArgument("$", message)
    return items


def _as_it_is(items: Any) -> Any:
    return items


def send_items(stream: Stream, running: Running, guard: ForkGuard, began_ns: int) -> None:
    """Send a burst of items of a stream, as far as it has credit, in about `QUICK_NS` at most.

    It is ended where there are no more, or where its function fails. Like an answer, it lets only
    `SystemExit` pass through.
    """
    request = stream.request
    call, connection = request.call, request.connection
    items = stream.items
    assert items is not None
    dump, encode = connection.codec.dump, connection.codec.encode
    send = connection.send_item
    left = stream.burst
    while stream.credit > 0 and left:
        left -= 1
        stage = FUNCTION
        try:
            try:
                running.call = call
                item = next(items, _NO_ITEM)
                if item is _NO_ITEM or guard.is_child:
                    break
                stage = RESULT
                body = encode(dump(item))
            finally:
                running.call = 0
        except SystemExit:
            raise
        except BaseException as error:
            _fail(request, running, error, stage)
            if stage == RESULT:
                close_stream(stream, running)
            return
        send(stream, body)
        if call not in connection.streams:
            # The item was too long.
            close_stream(stream, running)
            return
        if clock_gettime_ns(CLOCK_MONOTONIC) - began_ns > QUICK_NS:
            stream.set_pace(is_quick=False)
            return
    else:
        if not left:
            stream.set_pace(is_quick=True)
        return
    if not guard.is_child:
        connection.end(stream)


def end_cancelled(stream: Stream, running: Running) -> None:
    """Close a stream that the host wants no more of; its function may clean up."""
    call, connection = stream.request.call, stream.request.connection
    close_unwanted(stream, running)
    connection.fail(call, Status.CANCELLED, refusal("the stream was cancelled"))


def close_unwanted(stream: Stream, running: Running) -> None:
    """Close the generator of a stream that nobody waits for any more, and have it know that."""
    request = stream.request
    CANCELLATIONS.mark_cancelled(request.call)
    try:
        close_stream(stream, running)
    finally:
        request.has_ended = True
        CANCELLATIONS.end(request.call)


def close_stream(stream: Stream, running: Running) -> None:
    """Close the generator of a stream from which nothing more is wanted.

    It cleans up, and is not interrupted in that. What it raises then goes where the exceptions of
    the main program go: nobody waits for an answer.
    """
    running.hit = stream.request.call
    try:
        try:
            running.call = stream.request.call
            stream.close()
        finally:
            running.call = 0
    except SystemExit:
        raise
    except BaseException as error:
        running.call = 0
        if (exit := exit_before(error)) is not None:
            raise exit from None
        sys.excepthook(type(error), error, error.__traceback__)


def _fail(request: Request, running: Running, error: BaseException, stage: int) -> None:
    """Answer a call with the exception that ended it; only `SystemExit` passes through."""
    # An interrupt may have come in place of this before.
    running.call = 0
    if (exit := exit_before(error)) is not None:
        raise exit from None
    status, failure = explain(error, stage)
    if was_interrupted(running, request.call, error):
        status = Status.INTERRUPTED
    request.connection.fail(request.call, status, failure)


def exit_before(error: BaseException) -> SystemExit | None:
    """Return what the function had ended with when an exception came between it and the loop.

    A `SystemExit` that some `finally` of the function replaced is the function's own business: it
    did not reach the frame that caught this exception.
    """
    exit, reached = error.__context__, error.__traceback__
    if isinstance(exit, SystemExit) and exit.__traceback__ is not None and reached is not None:
        return exit if exit.__traceback__.tb_frame is reached.tb_frame else None
    return None


ARGUMENTS = 0
FUNCTION = 1
RESULT = 2
# The compiled core has these numbers too.


def explain(error: BaseException, stage: int) -> tuple[int, Failure]:
    """Return status and description of what ended a call."""
    if stage != FUNCTION:
        if isinstance(error, RecursionError):
            error = (
                InvalidBody("the body is nested too deeply")
                if stage == ARGUMENTS
                else InvalidResult("$", "nested too deeply, or in itself")
            )
        # A user's class may raise a `CallError` of its own making, without the name of a status.
        status = (
            STATUSES.get(getattr(error, "status", "")) if isinstance(error, CallError) else None
        )
        if status is not None:
            return status, Failure(type(error).__name__, str(error))
    return Status.EXCEPTION, Failure.of(error)
