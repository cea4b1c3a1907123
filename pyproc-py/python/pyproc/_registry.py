"""The functions that a worker offers."""

from __future__ import annotations

from os import getpid
from types import FunctionType

from ._errors import CallError, FunctionNotFound, RegistrationError, SchemaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal, TypeVar, overload

    from ._batch import Batching
    from ._schema import Binding

    Arguments = Literal["auto", "body", "keywords"]

    F = TypeVar("F", bound=Callable[..., object])
else:
    # `typing` takes longer to import than all of this package.
    def overload(function: object) -> object:
        return function


@overload
def expose(function: F, /) -> F: ...


@overload
def expose(  # noqa: F811  (the checker knows only the `overload` of `typing`)
    *,
    name: str | None = None,
    arguments: Arguments = "auto",
    batch: int | None = None,
    max_wait: float | None = None,
) -> Callable[[F], F]: ...


def expose(  # noqa: F811
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    arguments: Arguments = "auto",
    batch: int | None = None,
    max_wait: float | None = None,
) -> F | Callable[[F], F]:
    """Offer a function to hosts; it is returned as it is, so it stays callable and testable.

    `name` is what hosts call it, its own name by default. A function with one parameter
    receives the body whole, one with several receives the entries of the body by name;
    `arguments="body"` or `"keywords"` says so where this rule is not wanted.

    With `batch` the function takes up to so many calls at once: its one parameter is the list of
    what they send, and it returns a list of their results, in the same order; `ItemError` stands
    for one that failed. Calls that wait while the worker is busy are run together; one that finds
    it idle is run at once, or waits for others for `max_wait` seconds, if that is given.

    Raises `RegistrationError` for a function that cannot be offered, or a name that is taken.
    """

    def register(function: F) -> F:
        REGISTRY.add(Function(function, name, arguments, batch, max_wait))
        return function

    return register if function is None else register(function)


class Function:
    """One exposed function, and what was worked out about it."""

    __slots__ = (
        "arguments",
        "batching",
        "binding",
        "call",
        "is_async",
        "is_quick",
        "is_stream",
        "name",
        "place",
    )

    name: str
    """What hosts call it."""

    call: Callable[..., object]
    """What the user wrote."""

    arguments: Arguments

    binding: Binding
    """How it is called; there only after `bind`."""

    place: str
    """Where it was written, `file:line`."""

    batching: Batching | None
    """How its calls are put together, if it takes many at once."""

    is_async: bool
    """Whether it is an `async def`, whose calls share an event loop."""

    is_stream: bool
    """Whether its items are sent one by one."""

    is_quick: bool
    """Whether its last call was so short that a finished reply could wait for it."""

    def __init__(
        self,
        call: Callable[..., object],
        name: str | None,
        arguments: Arguments,
        batch: int | None = None,
        max_wait: float | None = None,
    ) -> None:
        given = name or getattr(call, "__name__", None)
        if not isinstance(given, str):
            raise RegistrationError(f'{call!r} has no name; give it one: `@expose(name="…")`')
        self.name = given
        self.call = call
        self.arguments = arguments
        self.place, flags = look_at(call)
        self.is_async = bool(flags & (_IS_COROUTINE | _IS_ASYNC_GENERATOR))
        self.is_stream = bool(flags & (_IS_GENERATOR | _IS_ASYNC_GENERATOR))
        self.is_quick = False
        self.batching = None
        if batch is not None or max_wait is not None:
            from ._batch import Batching

            self.batching = Batching(batch, max_wait, self._label)
            if self.is_stream or self.is_async:
                kind = "a generator" if self.is_stream else "an async function"
                raise RegistrationError(
                    f"{self._label} is {kind}; one that takes batches is a plain function that "
                    "returns a list"
                )

    @property
    def _label(self) -> str:
        return f"function `{self.name}` ({self.place})"

    def bind(self) -> Binding:
        """Work out how it is called, once. Raises `SchemaError`."""
        if not hasattr(self, "binding"):
            # Later than at `@expose`, when all that its annotations name is defined.
            if self.batching is None:
                from ._schema import analyze

                self.binding = analyze(self.call, arguments=self.arguments)
                self._check_items()
            else:
                from ._batch import bind_batch

                self.binding = bind_batch(self.call, self._label, self.arguments)
        return self.binding

    def _check_items(self) -> None:
        items = self.binding.items
        if items is not None and items.is_async != self.is_async:
            kinds = ("async", "AsyncIterator") if self.is_async else ("plain", "Iterator")
            raise SchemaError(
                f"function `{self.name}` ({self.place}), parameter `{items.name}`: "
                "the stream that {} functions take is an `{}`".format(*kinds)
            )


class Registry:
    """Exposed functions by name, in the order of their registration; `health` is always there."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._health = Function(health, None, "auto")

    def add(self, function: Function) -> None:
        """Add a function. Raises `RegistrationError` where another one has its name."""
        there = self._functions.get(function.name)
        # The same lines may be imported again, by a test or under another module name.
        if there is not None and there.place != function.place:
            raise RegistrationError(
                f"two functions are called `{function.name}`: one at {there.place}, "
                f'another at {function.place}; give one of them a name: `@expose(name="…")`'
            )
        self._functions[function.name] = function

    def complete(self) -> tuple[Function, ...]:
        """Bind all functions and return them.

        Raises `SchemaError` for one whose signature cannot be served, and `RegistrationError` for
        a `health` that hosts could not call.
        """
        functions = tuple(self)
        for function in functions:
            function.bind()
        health = self[self._health.name]
        try:
            health.binding.bind({})
        except CallError as error:
            raise RegistrationError(
                f"function `{health.name}` ({health.place}) is what hosts call with an empty map, "
                f"to see whether the worker is well; it cannot be called so: {error}"
            ) from None
        return functions

    def __getitem__(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is not None:
            return function
        if name == self._health.name:
            return self._health
        raise FunctionNotFound(name, [each.name for each in self])

    def __iter__(self) -> Iterator[Function]:
        yield from self._functions.values()
        if self._health.name not in self._functions:
            yield self._health


_IS_GENERATOR = 0x20  # `inspect.CO_GENERATOR`
_IS_COROUTINE = 0x80  # `inspect.CO_COROUTINE`
_IS_ASYNC_GENERATOR = 0x200  # `inspect.CO_ASYNC_GENERATOR`


def look_at(function: Any) -> tuple[str, int]:
    """Return where a callable was written, and the flags of its code."""
    while hasattr(function, "func"):  # `functools.partial`
        function = function.func
    owner = function if hasattr(function, "__code__") else type(function).__call__
    code = getattr(owner, "__code__", None)
    if code is None:
        return f"{getattr(function, '__module__', None) or 'builtins'} (compiled)", 0
    # A decorator's wrapper is written elsewhere than the function that the user sees.
    written = function
    while isinstance(getattr(written, "__wrapped__", None), FunctionType):
        written = written.__wrapped__
    shown = getattr(written, "__code__", code)
    return f"{shown.co_filename}:{shown.co_firstlineno}", code.co_flags


def health() -> dict[str, object]:
    """Answer that the worker is well; an exposed function called `health` replaces this one."""
    return {"status": "healthy", "pid": getpid()}


REGISTRY = Registry()
"""What `@expose` fills."""
