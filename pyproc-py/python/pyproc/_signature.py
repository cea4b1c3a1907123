"""The parameters of a function, as far as a call from afar is concerned."""

from __future__ import annotations

import sys
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HAS_VAR_POSITIONAL = 0x04  # `inspect.CO_VARARGS`
_HAS_VAR_KEYWORD = 0x08  # `inspect.CO_VARKEYWORDS`


class NotGiven:
    """Stands for an annotation or a default that was not written."""


class RawParameter:
    """One parameter as it is written."""

    __slots__ = ("annotation", "by_name", "by_position", "default", "name")

    def __init__(
        self, name: str, annotation: Any, default: Any, *, by_position: bool, by_name: bool
    ) -> None:
        self.name = name
        self.annotation = annotation
        self.default = default
        self.by_position = by_position
        self.by_name = by_name

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is NotGiven


class Signature:
    """What can be read off a function without calling it."""

    __slots__ = ("annotations", "namespace", "parameters", "var_keyword", "var_positional")

    parameters: list[RawParameter]
    """The parameters that have a name of their own, in their order."""

    var_positional: str | None
    """The name of `*args`, if there is one."""

    var_keyword: str | None
    """The name of `**kwargs`, if there is one."""

    annotations: dict[str, Any]
    """As they are written, that of the result under `return`."""

    namespace: dict[str, Any]
    """Where names in the annotations are looked up."""

    @classmethod
    def of(cls, function: Callable[..., object]) -> Signature:
        """Read the signature of any callable.

        Raises `NameError` where annotations, which Python 3.14 evaluates late, cannot be
        evaluated, and `ValueError` or `TypeError` where the callable does not tell.
        """
        target: Any = function
        while hasattr(target, "__wrapped__") and not hasattr(target, "__signature__"):
            target = target.__wrapped__
        is_method = isinstance(target, MethodType)
        plain = target.__func__ if is_method else target
        # `inspect` takes longer to import than the whole rest of a worker does.
        if isinstance(plain, FunctionType) and not hasattr(plain, "__signature__"):
            return _from_code(plain, skip=1 if is_method else 0)
        return _from_inspect(target)

    def annotation(self, name: str) -> Any:
        """Return the annotation of a parameter, or of the result."""
        return self.annotations.get(name, NotGiven)


def _from_code(function: FunctionType, skip: int) -> Signature:
    code = function.__code__
    names = list(code.co_varnames)
    positional = code.co_argcount
    named = positional + code.co_kwonlyargcount
    given = function.__defaults__ or ()
    defaults = dict(zip(names[positional - len(given) : positional], given, strict=True))
    defaults.update(function.__kwdefaults__ or {})

    signature = Signature()
    signature.annotations = dict(function.__annotations__)
    signature.namespace = function.__globals__
    type_parameters = getattr(function, "__type_params__", ())
    if type_parameters:
        by_name = {parameter.__name__: parameter for parameter in type_parameters}
        signature.namespace = {**function.__globals__, **by_name}
    signature.parameters = [
        RawParameter(
            name,
            signature.annotation(name),
            defaults.get(name, NotGiven),
            by_position=index < positional,
            by_name=index >= code.co_posonlyargcount,
        )
        for index, name in enumerate(names[:named])
        if index >= skip
    ]
    rest = iter(names[named:])
    signature.var_positional = next(rest) if code.co_flags & _HAS_VAR_POSITIONAL else None
    signature.var_keyword = next(rest) if code.co_flags & _HAS_VAR_KEYWORD else None
    return signature


def _from_inspect(function: Any) -> Signature:
    import inspect

    described = inspect.signature(function)
    kinds = inspect.Parameter
    signature = Signature()
    signature.namespace = _namespace(function)
    signature.parameters = []
    signature.var_positional = None
    signature.var_keyword = None
    written = {name: each.annotation for name, each in described.parameters.items()}
    written["return"] = described.return_annotation
    signature.annotations = {k: v for k, v in written.items() if v is not kinds.empty}
    for name, parameter in described.parameters.items():
        if parameter.kind is kinds.VAR_POSITIONAL:
            signature.var_positional = name
        elif parameter.kind is kinds.VAR_KEYWORD:
            signature.var_keyword = name
        else:
            raw = RawParameter(
                name,
                signature.annotation(name),
                NotGiven if parameter.default is kinds.empty else parameter.default,
                by_position=parameter.kind is not kinds.KEYWORD_ONLY,
                by_name=parameter.kind is not kinds.POSITIONAL_ONLY,
            )
            signature.parameters.append(raw)
    return signature


def _namespace(function: Any) -> dict[str, Any]:
    while hasattr(function, "func"):  # `functools.partial`
        function = function.func
    owner = function if hasattr(function, "__globals__") else type(function).__call__
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    namespace = getattr(owner, "__globals__", None) or (vars(module) if module else {})
    return dict(namespace)
