"""The types that the tests of argument binding convert to."""

from __future__ import annotations

import dataclasses
import enum
import sys
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, NewType, TypeVar

if sys.version_info >= (3, 11):
    from typing import NotRequired, Required, TypedDict
else:
    from typing_extensions import NotRequired, Required, TypedDict

T = TypeVar("T")
Meters = NewType("Meters", float)


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    WORD = "word"
    ONE = 1
    HALF = 0.5
    NOTHING = None


class Bits(enum.IntFlag):
    READ = 1
    WRITE = 2


class Forgiving(enum.Enum):
    YES = "yes"

    @classmethod
    def _missing_(cls, value: object) -> Forgiving | None:
        return cls.YES if value == "YES" else None


@dataclass
class Flower:
    petal_length: float
    petal_width: float = 0.5
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Garden:
    best: Flower
    others: dict[str, Flower] = field(default_factory=dict)
    color: Color | None = None


@dataclass(slots=True)
class Slotted:
    name: str
    number: int = 7
    petals: list[float] = field(default_factory=list)


@dataclass(slots=True)
class SlottedTree:
    name: str
    leaf: Slotted | None = None
    children: list[SlottedTree] = field(default_factory=list)


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    item: T
    more: list[T] = field(default_factory=list)


@dataclass
class IntBox(Box[int]):
    label: str = ""


@dataclass
class Chain(Generic[T]):
    item: T
    next: Chain[T] | None = None


@dataclass
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError("number must be positive")


@dataclass
class Computed:
    side: float
    area: float = field(init=False)

    def __post_init__(self) -> None:
        self.area = self.side**2


@dataclass
class Scaled:
    value: float
    factor: dataclasses.InitVar[float] = 1.0

    def __post_init__(self, factor: float) -> None:
        self.value *= factor


@dataclass
class OwnInit:
    name: str

    def __init__(self, name: str) -> None:
        self.name = name.upper()


@dataclass
class Cat:
    meow: int


@dataclass
class Dog:
    bark: int


class Movie(TypedDict):
    name: str
    year: NotRequired[int]


class Partial(TypedDict, total=False):
    name: Required[str]
    year: int


class Sequel(Movie):
    part: int


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Odd:
    """No shape can be made of this."""


@dataclass
class HasOdd:
    odd: Odd


@dataclass
class HasAbsent:
    frame: absent_package.Frame  # type: ignore[name-defined]  # noqa: F821


Small = Literal["a", 1, True, None]  # noqa: PYI061
