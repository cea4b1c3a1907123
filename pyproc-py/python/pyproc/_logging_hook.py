"""Has `logging` set up at the moment in which somebody imports it, and not before.

A worker starts a fifth faster without it, and user code that never logs never pays for it.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def when_imported(action: Callable[[], None]) -> None:
    """Call `action` once `logging` is imported, at once if it is."""
    if "logging" in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Finder(action))


class _Finder:
    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "logging":
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is None:
            return None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            # Not when it is found: somebody may only have asked whether it is there. And not when
            # its import fails: it may be tried again.
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            self._action()

        loader.exec_module = exec_module
        return spec
