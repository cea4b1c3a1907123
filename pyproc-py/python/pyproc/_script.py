"""Imports the user's module."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

from ._errors import RegistrationError
from ._failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Target:
    """What is to be imported: a script by its path, a module by its name, or source text."""

    __slots__ = ("label", "path", "source")

    def __init__(
        self,
        label: str,
        *,
        path: str | None = None,
        source: str | None = None,
    ) -> None:
        self.label = label
        self.path = path
        self.source = source

    @classmethod
    def parse(cls, entries: Mapping[str, str]) -> Target:
        """Read the target of a bundle."""
        if "path" in entries:
            return cls(entries["path"], path=entries["path"])
        if "module" in entries:
            return cls(entries["module"])
        return cls(entries["name"], source=entries["source"])

    @classmethod
    def named(cls, text: str) -> Target:
        """Read the target of a command line: a path, or the dotted name of a module."""
        if text.endswith(".py") or os.sep in text or os.path.isfile(text):
            return cls(text, path=os.path.abspath(text))
        return cls(text)

    def add_paths(self, python_path: Sequence[str] = ()) -> None:
        """Put the script's directory first on `sys.path`, and `python_path` behind it."""
        first = [] if self.path is None else [os.path.dirname(self.path)]
        sys.path[:0] = [*first, *python_path]

    def load(self) -> ModuleType:
        """Import it. Its `if __name__ == "__main__":` does not run."""
        if self.path is None and self.source is None:
            from importlib import import_module

            return import_module(self.label)
        name = module_name(self.label)
        loader: Any = (
            SourceFileLoader(name, self.path)
            if self.path is not None
            else SourceTextLoader(self.label, self.source or "")
        )
        spec = ModuleSpec(name, loader, origin=self.path or self.label)
        spec.has_location = True
        module = ModuleType(name)
        module.__file__ = spec.origin
        module.__loader__ = loader
        module.__spec__ = spec
        module.__package__ = ""
        # Dataclasses, pickle and `typing` look their module up by its name.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def run_as_main(self) -> None:
        """Run it as `python` would, with the name `__main__`."""
        import runpy

        sys.argv[0] = self.label
        if self.path is not None:
            runpy.run_path(self.path, run_name="__main__")
        elif self.source is None:
            runpy.run_module(self.label, run_name="__main__", alter_sys=True)
        else:
            loader: Any = SourceTextLoader(self.label, self.source)
            main = ModuleType("__main__")
            main.__file__ = self.label
            main.__loader__ = loader
            sys.modules["__main__"] = main
            loader.exec_module(main)


class SourceTextLoader:
    """Loads a module from text, and shows its lines in tracebacks."""

    def __init__(self, origin: str, source: str) -> None:
        self._origin = origin
        self._source = source

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._origin, "exec", dont_inherit=True), vars(module))

    def get_source(self, name: str) -> str:
        return self._source


def module_name(path: str) -> str:
    """Return the name under which a script is imported: that of its file.

    Where a module is called so already the script gets another name and takes nobody's place.
    """
    stem = os.path.splitext(os.path.basename(path))[0] or "script"
    if stem in sys.modules or stem in sys.stdlib_module_names:
        return f"{stem}_script"
    return stem


def explain(error: BaseException, label: str) -> Failure:
    """Describe why the user's module could not be loaded, or its start hooks failed."""
    if isinstance(error, RegistrationError):
        # What this package made of it on the way says nothing to the user.
        error.__cause__ = None
        error.__suppress_context__ = True
    failure = Failure.of(error)
    if isinstance(error, SystemExit):
        failure.message = f"{label} ended itself while it was imported: sys.exit({error.code!r})"
    elif isinstance(error, RegistrationError):
        failure.type = type(error).__name__
    elif isinstance(error, ImportError) and error.name == __package__ and ignored is not None:
        failure.message += f"; the worker does not see the other `{__package__}` at {ignored}"
    return failure


ignored: str | None = None
"""The file of another module called like this package, which was passed over."""
