"""From a request to its answer: decode, bind, call, dump, encode."""

from __future__ import annotations

from ._context import Context, running_request
from ._dump import dump_binary, dump_text
from ._errors import CallError, FunctionNotFound, InvalidBody, InvalidResult
from ._failure import Failure
from ._interrupt import was_interrupted
from ._protocol import STATUSES, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ._codec import Codec
    from ._interrupt import Running
    from ._registry import Function, Registry
    from ._request import Request

    Answer: TypeAlias = Callable[[Request], None]


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
    bind = binding.bind
    context_parameter = binding.context_parameter
    takes_body_as_it_is = binding.takes_body_as_it_is and context_parameter is None
    call = function.call
    decode, encode = codec.decode, codec.encode
    dump = dump_binary if codec.binary else dump_text
    run_as = running_request.set

    def answer(request: Request) -> None:
        stage = _ARGUMENTS
        run_as(request)
        try:
            try:
                running.call = request.call
                value = decode(request.body)
                if takes_body_as_it_is:
                    stage = _FUNCTION
                    result = call(value)
                else:
                    arguments, keywords = bind(value)
                    if context_parameter is not None:
                        keywords[context_parameter] = Context._of(request)
                    stage = _FUNCTION
                    result = call(*arguments, **keywords)
                stage = _RESULT
                body = encode(dump(result))
            finally:
                running.call = 0
        except SystemExit:
            raise
        except BaseException as error:
            # An interrupt may have come in place of this above.
            running.call = 0
            if (exit := exit_before(error)) is not None:
                raise exit from None
            status, failure = explain(error, stage)
            if was_interrupted(running, request.call, error):
                status = Status.INTERRUPTED
            request.connection.fail(request.call, status, failure)
        else:
            request.connection.reply(request.call, body)

    return answer


def exit_before(error: BaseException) -> SystemExit | None:
    """Return what the function had ended with when an exception came between it and the loop.

    A `SystemExit` that some `finally` of the function replaced is the function's own business: it
    did not reach the frame that caught this exception.
    """
    exit, reached = error.__context__, error.__traceback__
    if isinstance(exit, SystemExit) and exit.__traceback__ is not None and reached is not None:
        return exit if exit.__traceback__.tb_frame is reached.tb_frame else None
    return None


_ARGUMENTS = 0
_FUNCTION = 1
_RESULT = 2
# The compiled core has these numbers too.


def explain(error: BaseException, stage: int) -> tuple[int, Failure]:
    """Return status and description of what ended a call."""
    if stage != _FUNCTION:
        if isinstance(error, RecursionError):
            error = (
                InvalidBody("the body is nested too deeply")
                if stage == _ARGUMENTS
                else InvalidResult("$", "nested too deeply, or in itself")
            )
        # A user's class may raise a `CallError` of its own making, without the name of a status.
        status = (
            STATUSES.get(getattr(error, "status", "")) if isinstance(error, CallError) else None
        )
        if status is not None:
            return status, Failure(type(error).__name__, str(error))
    return Status.EXCEPTION, Failure.of(error)
