"""Imports a flow's file so that its blocks are there as objects, while nothing starts and nothing connects.

Only ever called in a process of its own: what it closes off stays closed.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from conduit.dataflow.check.findings import CODES, Finding
from conduit.errors import ConduitError, DeploymentStopped, ProviderUnavailable
from conduit.lmlite import LMLiteResource

_HINT = 'What a file does when it is imported belongs under `if __name__ == "__main__":`.'
_NETWORK = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.bind")
_LONGEST = 600
_refused: list[str] = []
"""What the file wanted to start or to reach."""


def module(path: Path) -> tuple[ModuleType | None, Finding | None]:
    """The file's module, and what kept it from being imported, to its end or at all.

    A file that would start something goes no further than that; what it defined until then is there.

    Args:
        path: A file whose text parses.
    """
    folder, package = _package(path.resolve())
    sys.path.insert(0, str(folder))
    name = ".".join((*package, path.stem))
    if package:
        try:
            return importlib.import_module(name), None
        except BaseException as error:
            return None, not_imported(path, error)
    # A name of its own: a file called json.py must not stand in for json.
    name = f"{path.stem}__checked"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return None, _finding(path, 1, "it is no Python file: its name has to end in .py", None)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # annotations resolve there
    try:
        spec.loader.exec_module(made)
    except BaseException as error:
        if _refused:
            return made, _starts(path, _line(error, path))
        if isinstance(error, SystemExit):
            return None, _finding(path, _line(error, path), f"it ends the process ({error.code!r})", _HINT)
        return None, not_imported(path, error)
    return made, None


def _package(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder from which a file is imported, and the packages that it is in."""
    folder = path.parent
    names: list[str] = []
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, tuple(names)


def nothing_starts() -> None:
    """Closes the ways in which a file that is imported could start or reach something."""

    def refused(*_: Any, **__: Any) -> NoReturn:
        _refused.append("deployment")
        raise ProviderUnavailable("Nothing is started while a file is checked.", hint=_HINT)

    from conduit.lmlite.calls.calling import Caller

    LMLiteResource.up = lambda *_, **__: None  # type: ignore[method-assign] # LMLiteBlock calls it
    Caller.deployment = refused  # type: ignore[method-assign] # its process is the check's own
    sys.addaudithook(_offline)


def no_flow_runs() -> None:
    """Has a flow that is called refuse to run; imports Prefect."""
    from prefect.flows import Flow

    def refused(self: Any, *_: Any, **__: Any) -> NoReturn:
        _refused.append("flow")
        raise DeploymentStopped(f"The flow {self.name!r} runs when the file is imported.", hint=_HINT)

    Flow.__call__ = refused  # type: ignore[method-assign] # as above


def _offline(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _NETWORK:
        return
    # Sockets within this process, such as an event loop's, have no address of two parts.
    address = arguments[1] if event != "socket.getaddrinfo" and len(arguments) > 1 else arguments
    if isinstance(address, tuple) and len(address) >= 2 and event != "socket.bind":
        _refused.append("network")
        raise PermissionError("nothing connects while a file is checked")


def not_imported(path: Path, error: BaseException) -> Finding:
    """The finding for a file that does not import: the original error, where it left the file."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return _finding(path, error.lineno or 1, f"{error.msg} (SyntaxError)", None, error.offset or 1)
    if isinstance(error, ConduitError):
        return _finding(path, _line(error, path), f"{error.message} ({type(error).__name__})", error.hint)
    told = str(error).strip().splitlines()[:1]
    missing = isinstance(error, ModuleNotFoundError)
    hint = "Install it where the check runs, as where the flow does." if missing else None
    return _finding(path, _line(error, path), f"{': '.join([type(error).__name__, *told])}", hint)


def _line(error: BaseException, path: Path) -> int:
    """The last line of the file itself on the way to the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = str(path.resolve())
    lines = [f.lineno for f in frames if f.lineno and str(Path(f.filename).resolve()) == own]
    return lines[-1] if lines else 1


def _finding(path: Path, line: int, told: str, hint: str | None, column: int = 1) -> Finding:
    message = f"The file cannot be imported: {told}".rstrip(".") + "."
    code = "check.import"
    return Finding(str(path), line, column, line, code, CODES[code][0], message[:_LONGEST], hint)


def _starts(path: Path, line: int) -> Finding:
    code = "check.runs_at_import"
    what = {"flow": "runs a flow", "deployment": "asks a model"}.get(_refused[0], "opens a connection")
    told = f"Importing the file {what}; what stands below was not looked at. A worker imports it, too."
    return Finding(str(path), line, 1, line, code, CODES[code][0], told, _HINT)
