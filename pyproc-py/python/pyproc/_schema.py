"""How the body of a call becomes the arguments of a function, and its result a body.

A function with one parameter receives the body whole. One with several receives the entries
of the body, which is a map, by the names of its parameters. A parameter annotated with
`Context` is not sent and does not count. Nor does one annotated with `Iterator`: its items follow
the body, one by one.
"""

from __future__ import annotations

import sys
from _collections_abc import AsyncIterator, Iterator

from ._annotation import Scope, describe
from ._bind import body_binder, keywords_binder, nothing_binder
from ._dump import dump_binary, dump_text
from ._errors import SchemaError
from ._shape import ANYTHING, SCALARS, NoneType, Shape, Unsupported
from ._signature import NotGiven, RawParameter, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from ._bind import Bind
    from ._shape import Convert


class Parameter:
    """One parameter of an exposed function, as the host is told about it."""

    __slots__ = ("is_stream", "name", "required", "type")

    def __init__(
        self, name: str, annotation: str, *, required: bool, is_stream: bool = False
    ) -> None:
        self.name = name
        self.type = annotation
        self.required = required
        self.is_stream = is_stream

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, {self.type!r}, required={self.required})"


class ItemsParameter:
    """The parameter that takes a stream of items, which are in no body."""

    __slots__ = ("convert", "is_async", "name", "place")

    def __init__(self, name: str, place: int, convert: Convert | None, *, is_async: bool) -> None:
        self.name = name
        self.place = place
        """Where it stands among the parameters that the host is told about."""
        self.convert = convert
        """From an item as the codec decodes it to what the annotation says."""
        self.is_async = is_async
        """Whether it is an `AsyncIterator`."""


class Binding:
    """What was worked out about a function once, so that a call costs little."""

    __slots__ = (
        "arguments",
        "bind",
        "context_parameter",
        "items",
        "parameters",
        "returns",
        "takes_body_as_it_is",
    )

    arguments: Literal["body", "keywords", "none"]
    """Whether the body is the one argument, a map of arguments, or empty."""

    parameters: tuple[Parameter, ...]
    """The parameters that a call gives, in their order."""

    returns: str
    """The annotation of the result, `Any` without one. Results are encoded by what they are."""

    context_parameter: str | None
    """The name under which the function takes its `Context`, if it takes one."""

    items: ItemsParameter | None
    """The parameter that takes a stream, if there is one."""

    takes_body_as_it_is: bool
    """Whether the decoded body is the one positional argument: then nobody need call `bind`."""

    bind: Bind
    """Turns a decoded body into positional and keyword arguments.

    The context and the stream are not among them. Raises `InvalidArgument`. What it returns may
    hold parts of the body, and the dictionary is the caller's to add to.
    """

    def dump(self, result: object, *, binary: bool) -> object:
        """Return the result as what codecs carry; `binary` codecs carry bytes, nan and inf too.

        That is `None`, `bool`, `int` between the ends of i64 and u64, `float`, `str` without
        lone surrogates, `list` and `dict` with `str` keys, nested at most 127 deep. A codec
        has nothing left to check. A result that is all of this already is returned itself.

        Raises `InvalidResult`.
        """
        return dump_binary(result) if binary else dump_text(result)


def analyze(
    function: Callable[..., object],
    *,
    arguments: Literal["auto", "body", "keywords"] = "auto",
    converter: Literal["auto", "stdlib", "msgspec"] = "auto",
) -> Binding:
    """Work out how `function` is called.

    `converter="auto"` uses msgspec where it is installed and makes a difference.

    Raises `SchemaError`, naming the function, the parameter, and the type or package that
    stands in the way.
    """
    label = f"function `{getattr(function, '__name__', None) or repr(function)}`"
    signature = read_signature(function, label)
    scope = Scope(signature.namespace)
    binding = Binding()
    context = find_context(signature, scope, label)
    given = [each for each in signature.parameters if each is not context]
    stream, binding.items = _items_parameter(given, scope, converter, label)
    parameters = [each for each in given if each is not stream]
    shapes = [
        make_shape(each.name, each.annotation, scope, converter, label) for each in parameters
    ]
    types = {each.name: shape.name for each, shape in zip(parameters, shapes, strict=True)}
    if stream is not None:
        types[stream.name] = describe(scope.resolve(stream.annotation))
    binding.parameters = tuple(
        Parameter(each.name, types[each.name], required=each.required, is_stream=each is stream)
        for each in given
    )
    annotation = signature.annotation("return")
    binding.returns = "Any" if annotation is NotGiven else describe(annotation)
    binding.context_parameter = None if context is None else context.name
    binding.arguments = _style(signature, parameters, arguments, label)
    binding.takes_body_as_it_is = False
    if binding.arguments == "none":
        binding.bind = nothing_binder()
    elif binding.arguments == "body":
        # Behind a context or a stream, which are passed by name, nothing can be passed by position.
        first = parameters[0] if parameters else None
        behind = first is not None and first is not signature.parameters[0]
        by_name = first is not None and (behind or not first.by_position)
        convert = shapes[0].convert if shapes else None
        name = first.name if first and by_name else None
        binding.takes_body_as_it_is = name is None and convert is None
        binding.bind = body_binder(name, convert)
    else:
        rest = signature.var_keyword
        rest_shape = None
        if rest is not None:
            rest_shape = make_shape(rest, signature.annotation(rest), scope, converter, label)
        reserved = binding.context_parameter
        binding.bind = keywords_binder(parameters, shapes, rest_shape, reserved)
    return binding


def read_signature(function: Callable[..., object], label: str) -> Signature:
    """Read what can be read off a function. Raises `SchemaError`."""
    try:
        return Signature.of(function)
    except NameError as error:
        reason = f"an annotation needs `{error.name}`, which is not there"
        raise SchemaError(f"{label}: {reason}") from error
    except (TypeError, ValueError) as error:
        raise SchemaError(f"{label}: its parameters cannot be read: {error}") from error


def _style(
    signature: Signature, parameters: list[RawParameter], wanted: str, label: str
) -> Literal["body", "keywords", "none"]:
    """Decide how the body is meant.

    A function with more than one parameter takes a map even where the others are optional:
    otherwise no call could ever give them.
    """
    named = len(parameters)
    if wanted == "body":
        if not parameters and (signature.var_positional is None or signature.parameters):
            raise SchemaError(f"{label} has no parameter that could receive the body")
        for parameter in parameters[1:]:
            if parameter.required:
                raise SchemaError(
                    f"{label}, parameter `{parameter.name}`: no call can give it, "
                    'because `arguments="body"` fills only the first; give it a default'
                )
        return "body"
    if named == 0 and signature.var_positional is not None:
        raise SchemaError(
            f"{label} has only `*{signature.var_positional}`, to which no name leads; if it is "
            "made by a decorator, let that use `functools.wraps`, or say "
            '`@expose(arguments="body")`'
        )
    if named == 0 and signature.var_keyword is None:
        return "none"
    one = named == 1 and signature.var_keyword is None
    return "body" if wanted == "auto" and one else "keywords"


def find_context(signature: Signature, scope: Scope, label: str) -> RawParameter | None:
    """Return the parameter that takes the `Context`, if there is one. Raises `SchemaError`."""
    found = [each for each in signature.parameters if _is_context(each.annotation, scope)]
    if not found:
        return None
    if len(found) > 1:
        raise SchemaError(f"{label}, parameter `{found[1].name}`: there is a `Context` already")
    if not found[0].by_name:
        raise SchemaError(
            f"{label}, parameter `{found[0].name}`: a `Context` is passed by name, "
            "but this parameter stands before the `/`"
        )
    return found[0]


def _items_parameter(
    parameters: list[RawParameter], scope: Scope, converter: str, label: str
) -> tuple[RawParameter | None, ItemsParameter | None]:
    found = None
    for place, parameter in enumerate(parameters):
        try:
            annotation = scope.resolve(parameter.annotation)
        except Unsupported:
            # It is refused with the others.
            continue
        kind = getattr(annotation, "__origin__", annotation)
        if kind is not Iterator and kind is not AsyncIterator:
            continue
        at = f"{label}, parameter `{parameter.name}`"
        if found is not None:
            raise SchemaError(
                f"{at}: there is a stream already, `{found[0].name}`; one is possible"
            )
        if not parameter.by_name:
            raise SchemaError(
                f"{at}: a stream is passed by name, but this parameter stands before the `/`"
            )
        (item,) = getattr(annotation, "__args__", ()) or (NotGiven,)
        shape = make_shape(parameter.name, item, scope, converter, label)
        is_async = kind is AsyncIterator
        items = ItemsParameter(parameter.name, place, shape.convert, is_async=is_async)
        found = parameter, items
    return found or (None, None)


def _is_context(annotation: Any, scope: Scope) -> bool:
    try:
        annotation = scope.resolve(annotation)
    except Unsupported:
        # It may be imported for type checkers only.
        return annotation.strip("'\"") in ("Context", "pyproc.Context")
    # Whoever annotates with the class has imported its module; nobody else needs it here.
    context = getattr(sys.modules.get(f"{__package__}._context"), "Context", None)
    if context is None:
        return False
    # `Context | None = None` leaves the function easy to call in a test.
    optional = set(getattr(annotation, "__args__", ())) == {context, NoneType}
    return annotation is context or optional


def make_shape(name: str, annotation: Any, scope: Scope, converter: str, label: str) -> Shape:
    """Return the shape of what a parameter takes. Raises `SchemaError`."""
    if annotation is NotGiven:
        return ANYTHING
    try:
        annotation = scope.resolve(annotation)
        if annotation is None or (isinstance(annotation, type) and annotation in SCALARS):
            return SCALARS[annotation]
        # Only now is there anything for which `typing` and the rest must be imported.
        from ._shapes import Shapes

        shapes = Shapes()
        shape = shapes.make(annotation, scope)
    except Unsupported as error:
        raise SchemaError(f"{label}, parameter `{name}`: {error}") from error
    if converter == "stdlib" or not shapes.msgspec_agrees or not shape.kinds & {list, dict}:
        return shape
    try:
        from ._shape_msgspec import accelerate
    except ImportError:
        if converter == "msgspec":
            raise
        return shape
    return accelerate(annotation, shape)
