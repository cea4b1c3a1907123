"""Annotations as they are written: names in strings, aliases, type variables."""

from __future__ import annotations

import builtins
import sys

from ._shape import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Scope:
    """Where the names in an annotation are looked up."""

    __slots__ = ("names", "own_names", "variables")

    def __init__(
        self,
        names: Mapping[str, Any],
        own_names: Mapping[str, Any] | None = None,
        variables: Mapping[Any, tuple[Any, Scope]] | None = None,
    ) -> None:
        self.names = names
        # Those of a class body come before those of its module.
        self.own_names = own_names or {}
        # What each type variable stands for, with the scope in which that was written.
        self.variables = variables or {}

    @classmethod
    def of_class(cls, owner: type, variables: Mapping[Any, tuple[Any, Scope]]) -> Scope:
        """Return the scope of the annotations in a class body."""
        module = sys.modules.get(owner.__module__)
        names = {} if module is None else vars(module)
        # A class inside a function may still refer to itself.
        return cls(names, {owner.__name__: owner, **vars(owner)}, variables)

    def resolve(self, annotation: Any) -> Any:
        """Return what an annotation refers to; only one written as a string needs a look."""
        # Quotes under `from __future__ import annotations` make a string of a string.
        while type(annotation) is str:
            annotation = self._evaluate(annotation)
        return annotation

    def _evaluate(self, text: str) -> Any:
        # `eval` takes a plain dictionary, and adds to it.
        names = dict(self.names)
        names.setdefault("__builtins__", builtins)
        try:
            return eval(text, names, dict(self.own_names))
        except NameError as error:
            raise Unsupported(
                f"the annotation `{text}` needs `{error.name or text}`, which is not there at run "
                "time (is it imported only for type checking, or is its package absent?)"
            ) from error
        except Exception as error:
            raise Unsupported(
                f"the annotation `{text}` cannot be evaluated: {type(error).__name__}: {error}"
            ) from error


def describe(annotation: Any) -> str:
    """Return an annotation as one would write it, without the modules of its names."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    import re

    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", repr(annotation))
