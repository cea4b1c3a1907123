"""Counts the words of a text; a stand-in for a model that takes its time."""

import time
from collections import Counter
from dataclasses import dataclass

from pyproc import expose


@dataclass
class Words:
    total: int
    most_common: str | None


@expose
def count_words(text: str, pause_ms: int = 0) -> Words:
    """Counts words, after a pause as long as a larger model would take."""
    time.sleep(pause_ms / 1000)
    counts = Counter(text.lower().split())
    most_common = counts.most_common(1)
    return Words(counts.total(), most_common[0][0] if most_common else None)
