"""One call without a host: all that happens in a worker, but no process and no socket."""

from __future__ import annotations

from contextlib import aclosing, closing

from ._bind import convert_entry
from ._cancellation import CANCELLATIONS
from ._codec import codec
from ._connection import Connection
from ._context import Context, running_request
from ._errors import InvalidArgument, InvalidResult, ItemError
from ._request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
    from typing import Any

    from ._codec import Codec
    from ._registry import Function
    from ._schema import ItemsParameter


def call(
    function: Function,
    body: object,
    *,
    codec_name: str = "json",
    items: Iterable[object] | None = None,
) -> object:
    """Call a function as a host would, and return what a host would receive.

    `items` are those of the argument that is a stream, and a result that is one comes as a list.
    Raises what the function raises, and `CallError` where the body or the result does not fit.
    """
    bodies = codec(codec_name)
    binding = function.bind()
    try:
        encoded = bodies.encode(bodies.dump(body))
    except InvalidResult as error:
        raise InvalidArgument(error.path, error.message) from None
    if function.batching is not None:
        return _sent(_call_as_batch(function, bodies.decode(encoded)), bodies)
    arguments, keywords = binding.bind(bodies.decode(encoded))
    request = Request(Connection(), 1, function.name, encoded)
    if binding.context_parameter is not None:
        keywords[binding.context_parameter] = Context._of(request)
    if (binding.items is None) != (items is None):
        raise InvalidArgument("$", "a stream is given exactly where a parameter takes one")
    if binding.items is not None and items is not None:
        arriving = _items(binding.items, items, bodies)
        keywords[binding.items.name] = _one_by_one(arriving) if function.is_async else arriving
    token = running_request.set(request)
    try:
        result: Any = function.call(*arguments, **keywords)
        if function.is_async:
            from asyncio import run

            result = run(_yielded(result, bodies) if function.is_stream else result)
        elif function.is_stream:
            with closing(result):
                result = [_sent(item, bodies) for item in result]
    finally:
        running_request.reset(token)
        request.has_ended = True
        CANCELLATIONS.end(request.call)
    return result if function.is_stream else _sent(result, bodies)


def _sent(value: object, bodies: Codec) -> object:
    """Return a value as it arrives at the other end."""
    return bodies.decode(bodies.encode(bodies.dump(value)))


def _call_as_batch(function: Function, body: object) -> object:
    """Call a function that takes batches with a batch of one."""
    from ._batch_run import results_of

    ((value,), _) = function.binding.bind(body)
    (result,) = results_of(function.name, function.call([value]), 1)
    if isinstance(result, ItemError):
        raise result.error
    return result


async def _yielded(items: AsyncGenerator[object, None], bodies: Codec) -> list[object]:
    async with aclosing(items):
        return [_sent(item, bodies) async for item in items]


async def _one_by_one(items: Iterator[object]) -> AsyncIterator[object]:
    for item in items:
        yield item


def _items(parameter: ItemsParameter, items: Iterable[object], bodies: Codec) -> Iterator[object]:
    for item in items:
        value = _sent(item, bodies)
        convert = parameter.convert
        yield value if convert is None else convert_entry(parameter.name, convert, value)
