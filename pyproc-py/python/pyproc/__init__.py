"""The Python side of pyproc: plain functions, called from Rust in supervised workers.

from pyproc import expose

@expose
def double(value: float) -> float:
    return 2 * value
"""

from ._codec import register_codec
from ._context import Context, current_context
from ._errors import (
    CallError,
    FunctionNotFound,
    Interrupted,
    InvalidArgument,
    InvalidBody,
    InvalidResult,
    ItemError,
    PyprocError,
    RegistrationError,
    SchemaError,
)
from ._hooks import on_start, on_stop
from ._registry import expose
from ._run import run_worker
from ._version import VERSION

__version__ = VERSION

__all__ = [
    "CallError",
    "Context",
    "FunctionNotFound",
    "Interrupted",
    "InvalidArgument",
    "InvalidBody",
    "InvalidResult",
    "ItemError",
    "PyprocError",
    "RegistrationError",
    "SchemaError",
    "__version__",
    "current_context",
    "expose",
    "on_start",
    "on_stop",
    "register_codec",
    "run_worker",
]
