"""Functions that take many calls at once: what `@expose(batch=…)` says, and how they are bound."""

from __future__ import annotations

import typing

from ._annotation import Scope, describe
from ._bind import body_binder
from ._errors import RegistrationError, SchemaError
from ._schema import Binding, Parameter, find_context, make_shape, read_signature
from ._shape import NoneType, Unsupported
from ._shapes import LISTS
from ._signature import NotGiven

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from ._signature import RawParameter, Signature

MAX_BATCH = 32_768
"""Two batches of a worker are as many calls as a host ever sends it ahead."""

MAX_WAIT_SECONDS = 3600.0


class Batching:
    """How the calls of a function are put together."""

    __slots__ = ("max_wait_ns", "size")

    size: int
    """How many calls it takes at once, at most."""

    max_wait_ns: int
    """How long the worker, when it was idle, waits for more of them."""

    def __init__(self, batch: Any, max_wait: Any, label: str) -> None:
        """Raises `RegistrationError` for what no function could have."""
        if batch is None:
            raise RegistrationError(
                f"{label}: `max_wait` is for functions that take batches; "
                "say how many calls with `batch`"
            )
        if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
            raise RegistrationError(
                f"{label}: `batch` is {batch!r}; it is the greatest number of calls "
                f"that the function takes at once, from 1 to {MAX_BATCH}"
            )
        wait = 0 if max_wait is None else max_wait
        if type(wait) not in (int, float) or not 0 <= wait <= MAX_WAIT_SECONDS:
            raise RegistrationError(
                f"{label}: `max_wait` is {max_wait!r}; it is a time in seconds, "
                "0 to wait for nobody"
            )
        self.size = batch
        self.max_wait_ns = int(wait * 1e9)


def bind_batch(
    function: Callable[..., object],
    label: str,
    arguments: Literal["auto", "body", "keywords"],
) -> Binding:
    """Work out how a function is called that takes the arguments of many calls as one list.

    What is bound, and told to hosts, is one call: its body is an element of that list, and its
    result one of the list that the function returns. Raises `SchemaError`.
    """
    if arguments == "keywords":
        raise SchemaError(
            f'{label}: `arguments="keywords"` is not for a function that takes batches, '
            "whose one argument is the list of what its calls send"
        )
    signature = read_signature(function, label)
    scope = Scope(signature.namespace)
    context = find_context(signature, scope, label)
    if context is not None:
        raise SchemaError(
            f"{label}, parameter `{context.name}`: a batch is many calls, and has no one `Context`"
        )
    parameter = _list_parameter(signature, label)
    element = _element(parameter.annotation, scope, f"{label}, parameter `{parameter.name}`")
    shape = make_shape(parameter.name, element, scope, "auto", label)

    binding = Binding()
    binding.arguments = "body"
    binding.parameters = (Parameter(parameter.name, shape.name, required=True),)
    binding.returns = _returns(signature.annotation("return"), scope, label)
    binding.context_parameter = None
    binding.items = None
    binding.takes_body_as_it_is = shape.convert is None
    binding.bind = body_binder(None, shape.convert)
    return binding


def _list_parameter(signature: Signature, label: str) -> RawParameter:
    """Return the parameter that takes the list."""
    parameters = signature.parameters
    if not parameters or not parameters[0].by_position:
        raise SchemaError(
            f"{label} takes batches, and has no parameter that could receive the list of what "
            "its calls send: `def predict(rows: list[Row]) -> list[Prediction]`"
        )
    for parameter in parameters[1:]:
        if parameter.required:
            raise SchemaError(
                f"{label}, parameter `{parameter.name}`: no call can give it, because a function "
                "that takes batches gets one list; give it a default"
            )
    return parameters[0]


def _element(annotation: Any, scope: Scope, label: str) -> Any:
    """Return the annotation of what one call sends."""
    if annotation is NotGiven:
        return NotGiven
    try:
        resolved = scope.resolve(annotation)
    except Unsupported as error:
        raise SchemaError(f"{label}: {error}") from error
    arguments = _arguments_of_list(resolved)
    if arguments is None:
        raise SchemaError(
            f"{label}: a function that takes batches gets a list, so the annotation is "
            f"`list[…]` of what one call sends, and not `{describe(resolved)}`"
        )
    return arguments[0] if arguments else NotGiven


def _returns(annotation: Any, scope: Scope, label: str) -> str:
    """Return the annotation of one call's result, for people to read."""
    if annotation is NotGiven:
        return "Any"
    try:
        resolved = scope.resolve(annotation)
    except Unsupported:
        return describe(annotation)
    if resolved is None or resolved is NoneType:
        raise SchemaError(
            f"{label}: a function that takes batches returns a list of as many results as it "
            "was given calls, and not `None`"
        )
    arguments = _arguments_of_list(resolved)
    return describe(arguments[0]) if arguments else "Any"


def _arguments_of_list(annotation: Any) -> tuple[Any, ...] | None:
    """Return what a list annotation says of its elements, nothing perhaps; `None` for others."""
    while True:
        if type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif typing.get_origin(annotation) is typing.Annotated:
            annotation = annotation.__origin__
        else:
            break
    if annotation is object or annotation is typing.Any:
        return ()
    origin = typing.get_origin(annotation) or annotation
    return typing.get_args(annotation) if origin in LISTS else None
