"""The command line: a worker without a host."""

from __future__ import annotations

import argparse
import os
import sys
from types import ModuleType

from . import _local, _run
from ._codec import codec
from ._errors import PyprocError
from ._failure import print_failure
from ._hooks import run_start_hooks, run_stop_hooks
from ._registry import REGISTRY, Function, expose
from ._script import Target
from ._version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        # A missing package shows now, not when the first host asks for the codec.
        codec(options.codec)
        target = Target.named(options.worker)
        if not _load(target):
            return 1
        if options.list:
            return _list()
        if options.call is not None:
            name, body = options.call
            return _call(REGISTRY[name], body, options.codec)
        from ._listen import listen

        listen(os.path.abspath(options.socket))
    except PyprocError as error:
        print(f"pyproc: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyproc", description="Run a pyproc worker without a host."
    )
    parser.add_argument("worker", help="a script (worker.py) or a module (package.module)")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--socket", metavar="PATH", help="listen on a Unix socket at PATH")
    action.add_argument(
        "--call",
        nargs=2,
        metavar=("NAME", "JSON"),
        help="call one function in the foreground and print its result; pdb works",
    )
    action.add_argument("--list", action="store_true", help="show the functions and signatures")
    parser.add_argument(
        "--codec",
        default="json",
        metavar="NAME",
        help="the codec that hosts will ask for, or that --call uses (default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"pyproc {VERSION}")
    return parser


def _load(target: Target) -> bool:
    """Import the user's module; print what is wrong with it where that fails."""
    _serve_origin_names()
    _run.is_hosted = True
    if target.path is not None:
        if not os.path.isfile(target.path):
            raise PyprocError(f"there is no script {target.path}")
        # As for any script: its own directory, and not the working directory.
        if sys.path and sys.path[0] in ("", os.getcwd()):
            del sys.path[0]
    target.add_paths()
    sys.argv = [target.label]
    try:
        target.load()
        REGISTRY.complete()
    except PyprocError:
        raise
    except Exception as error:
        print_failure(error)
        print(f"pyproc: {target.label} could not be imported", file=sys.stderr)
        return False
    return True


def _serve_origin_names() -> None:
    """Offer `pyproc_worker`, which only hosts can import; a foreign package of that name cannot
    serve the scripts that are run here.
    """
    module = ModuleType("pyproc_worker")
    vars(module).update(expose=expose, run_worker=_run.run_worker)
    sys.modules["pyproc_worker"] = module


def _list() -> int:
    for function in REGISTRY:
        binding = function.bind()
        parameters = ", ".join(
            f"{each.name}: {each.type}{'' if each.required else ' = …'}"
            for each in binding.parameters
        )
        print(f"{function.name}({parameters}) -> {binding.returns}")
    return 0


def _call(function: Function, text: str, codec_name: str) -> int:
    json = codec("json")
    body = json.decode(text.encode(errors="surrogateescape"))
    try:
        run_start_hooks()
        result = _local.call(function, body, codec_name=codec_name)
    except PyprocError:
        raise
    except Exception as error:
        print_failure(error)
        return 1
    finally:
        run_stop_hooks()
    # What only MessagePack can carry, like bytes, is shown as Python writes it.
    try:
        print(json.encode(function.bind().dump(result, binary=False)).decode())
    except PyprocError:
        print(repr(result))
    return 0
