"""Classifies iris flowers by their nearest neighbours, with the standard library alone."""

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pyproc import expose


@dataclass
class Flower:
    """The measurements of one flower, in centimetres, and its row in the table."""

    row: int
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


@dataclass
class Neighbour:
    species: str
    distance: float


@dataclass
class Verdict:
    species: str
    votes: int


def load() -> list[tuple[Flower, str]]:
    with Path(__file__).with_name("iris.csv").open() as table:
        return [
            (Flower(number, *(float(row[name]) for name in list(row)[:4])), row["species"])
            for number, row in enumerate(csv.DictReader(table))
        ]


# Start-up code runs once per worker, before its first call.
FLOWERS = load()


@expose
def nearest(flower: Flower, k: int) -> list[Neighbour]:
    """The k flowers that are most like this one, which is left out itself."""
    neighbours = [
        Neighbour(species, distance(flower, other))
        for other, species in FLOWERS
        if other.row != flower.row
    ]
    return sorted(neighbours, key=lambda neighbour: neighbour.distance)[:k]


@expose
def classify(flower: Flower) -> Verdict:
    """The species that most of the three nearest neighbours have."""
    votes = Counter(neighbour.species for neighbour in nearest(flower, 3))
    species, count = votes.most_common(1)[0]
    return Verdict(species, count)


def distance(a: Flower, b: Flower) -> float:
    return math.dist(
        (a.sepal_length, a.sepal_width, a.petal_length, a.petal_width),
        (b.sepal_length, b.sepal_width, b.petal_length, b.petal_width),
    )
