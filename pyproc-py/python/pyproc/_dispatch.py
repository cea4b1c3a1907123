"""From a request to its answer: decode, bind, call, dump, encode."""

from __future__ import annotations

from ._context import Context, running_request
from ._dump import dump_binary, dump_text
from ._errors import CallError, FunctionNotFound, InvalidBody, InvalidResult
from ._failure import Failure
from ._protocol import STATUSES, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._registry import Function, Registry
    from ._request import Request


class Dispatcher:
    """Knows the functions of a worker and runs requests, one at a time."""

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

    def answer(self, request: Request, function: Function) -> None:
        """Run a request and give its answer to its connection, whatever the function does.

        Only `SystemExit` passes through: whoever says that the process should end is obeyed.
        """
        connection = request.connection
        codec = connection.codec
        binding = function.binding
        stage = _ARGUMENTS
        running_request.set(request)
        try:
            arguments, keywords = binding.bind(codec.decode(request.body))
            if binding.context_parameter is not None:
                keywords[binding.context_parameter] = Context._of(request)
            stage = _FUNCTION
            result = function.call(*arguments, **keywords)
            stage = _RESULT
            body = codec.encode(dump_binary(result) if codec.binary else dump_text(result))
        except SystemExit:
            raise
        except BaseException as error:
            connection.fail(request.call, *explain(error, stage))
        else:
            connection.reply(request.call, body)
        finally:
            running_request.set(None)


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
