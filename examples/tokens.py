"""Makes up text, a word at a time; a stand-in for a language model."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pyproc import expose


@dataclass
class Generators:
    """How many texts were begun, how many have stopped, and how long the last of these was."""

    begun: int = 0
    stopped: int = 0
    words: int = 0


_generators = Generators()


@expose
def generate(prompt: str) -> Iterator[str]:
    """Never ends by itself: it goes on as long as somebody reads."""
    _generators.begun += 1
    words = 0
    try:
        for word in itertools.cycle(prompt.split() or ["…"]):
            time.sleep(0.02)
            words += 1
            yield word
    finally:
        # The reader has gone. What the text has occupied, a model's cache say, is given back.
        _generators.stopped += 1
        _generators.words = words


@expose
def generators() -> Generators:
    return _generators
