"""The typed errors of the package.

Each error of a call carries the name of the status it is answered with, so that the
dispatcher has one rule for all of them: `error.status`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar

__all__ = [
    "CallError",
    "FunctionNotFound",
    "Interrupted",
    "InvalidArgument",
    "InvalidBody",
    "InvalidResult",
    "ItemError",
    "PyprocError",
    "RegistrationError",
    "SchemaError",
    "nearest_name",
]


class PyprocError(Exception):
    """The base of every error that this package raises on purpose, but for `Interrupted`."""


class Interrupted(BaseException):
    """The host has interrupted the call, because nobody waits for it any more.

    It is raised within the function, between any two of its steps, where the call has gone on past
    its deadline, or was dropped, as a stream may be too. A function may catch it to clean up, and
    should then raise it again or return soon: the host waits a few seconds (`overdue_after`), and
    replaces a worker that goes on. It is no `Exception`, so that nothing takes it for the failure
    of a single step.

    A call is interrupted once, and only in the main thread while that runs Python code: a call into
    C has to come back first. But whoever waits for an item of an argument that is a stream gets it
    there, in any thread, and again each time that it goes on to wait for one.
    """

    __module__ = __package__


class ItemError(PyprocError):
    """What a function that takes batches returns in place of a result that it has not.

    Its caller gets it as an exception of the function; the other callers of the batch get their
    results. It is made of a message, or of an exception, which is then what the caller gets:

        results.append(ItemError("the row is empty"))
        results.append(ItemError(error))

    Raised, it is an exception like any other, and ends all calls of the batch.
    """

    __module__ = __package__

    error: BaseException
    """What the caller gets."""

    def __init__(self, error: str | BaseException) -> None:
        super().__init__(error)
        self.error = error if isinstance(error, BaseException) else self


class RegistrationError(PyprocError):
    """A function cannot be exposed; the worker does not start.

    Raised while the user's module is loaded, never during a call.
    """


class SchemaError(RegistrationError, TypeError):
    """A function's parameters or annotations cannot be served.

    The message names the function, the parameter, and the type or the missing package.
    """


class CallError(PyprocError):
    """One call ends with an error that is not an exception of the user's function."""

    status: ClassVar[str]
    """The name of the status on the wire."""


class FunctionNotFound(CallError):
    """No function of this name is exposed."""

    status = "function_not_found"

    name: str
    """The name that was asked for."""

    def __init__(self, name: str, exposed: Iterable[str] = ()) -> None:
        nearest = nearest_name(name, exposed)
        hint = f" (did you mean `{nearest}`?)" if nearest else ""
        super().__init__(f"function `{name}` is not exposed{hint}")
        self.name = name


class _AtPath(CallError):
    """An error about one place in a body or a result."""

    path: str
    """Where it is, from the root `$`: `$.flower.petal_length`, `$[3]`, `$["odd key"]`."""

    message: str
    """What is wrong there, without the path."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(path, message)
        self.path = path
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class InvalidArgument(_AtPath):
    """The body of a call does not fit the function's parameters; the function did not run."""

    status = "invalid_argument"


class InvalidResult(_AtPath):
    """The function ran, but its result holds something that no codec can carry."""

    status = "invalid_result"


class InvalidBody(CallError):
    """The body of a call is not what the codec of the connection can decode."""

    status = "invalid_body"


def nearest_name(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` was probably meant to be, if one is near enough."""
    # Comparing costs time, and either side may come from the wire.
    if len(name) > 100:
        return None
    # They are needed only after a mistake, so a worker without one never imports `difflib`.
    from difflib import get_close_matches
    from itertools import islice

    matches = get_close_matches(name, list(islice(candidates, 1000)), n=1)
    return matches[0] if matches else None
