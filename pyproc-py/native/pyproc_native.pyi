# The compiled loop of pyproc's workers.

from collections.abc import Callable, Sequence
from typing import Final, final

# The version of the package that this belongs to.
VERSION: Final[str]

# The call that runs: what `pyproc._request.Request` is to the loop in Python.
@final
class Request:
    @property
    def call(self) -> int: ...
    @property
    def function(self) -> int: ...
    @property
    def deadline_ns(self) -> int | None: ...
    @property
    def metadata(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def connection(self) -> object: ...
    @property
    def has_ended(self) -> bool: ...
    reply_metadata: dict[str, str] | None

# Which call may be interrupted now: what `pyproc._interrupt.PureRunning` is to the loop in Python.
@final
class Running:
    call: int
    hit: int
    is_watched: bool
    def __new__(cls) -> Running: ...

# Be the loop of a worker, as `pyproc._loop_sync` is. Returns whether the host has gone.
def run(
    *,
    lane: object,
    stop: object,
    guard: object,
    functions: Sequence[object],
    connection: object,
    codec: str,
    registered: object,
    dump: Callable[[object], object],
    max_frame: int,
    has_absolute_deadlines: bool,
    spin_us: int,
    set_running: Callable[[Request | None], object],
    context_of: Callable[[Request], object],
    explain: Callable[[BaseException, int], tuple[int, bytes]],
    results_of: Callable[[str, object, int], Sequence[object]],
    make_items: Callable[[object, int, object], object],
    mark_cancelled: Callable[[int], object],
    end_watched: Callable[[int], object],
    page: memoryview | None = None,
    running: Running | None = None,
) -> bool: ...

# Return what the body of a call stands for; `codec` is `json` or `msgpack`. Raises `InvalidBody`.
def decode(codec: str, body: bytes) -> object: ...

# Return the body that stands for a plain value. Raises `InvalidResult`.
def encode(codec: str, value: object) -> bytes: ...
