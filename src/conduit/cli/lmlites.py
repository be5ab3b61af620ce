"""The LMLites at the top level of a Python file, for the commands that are pointed at one."""

from __future__ import annotations

from pathlib import Path

from conduit.cli.mdl_source import load, split
from conduit.errors import FileError
from conduit.lmlite import LMLiteResource


def lmlites(target: str) -> dict[str, LMLiteResource]:
    """All of them by name, or the one that ``FILE:NAME`` names; one object under two names is there once.

    Raises:
        FileError: There is no such file, none in it, or none of that name.
    """
    path, name = split(target)
    found: dict[str, LMLiteResource] = {}
    for own, value in vars(load(path)).items():
        if isinstance(value, LMLiteResource) and (own == name or value not in found.values()):
            found[own] = value
    if not found:
        raise FileError(
            f"There is no LMLite in {path}.",
            hint='Write one at the file\'s top level: lm = LMLite("conduit/tiny").',
            path=str(path),
        )
    if name is None:
        return found
    if name not in found:
        raise FileError(
            f"There is no LMLite {name} in {path}.",
            hint=f"LMLites there: {', '.join(found)}.",
            path=str(path),
        )
    return {name: found[name]}


def lmlite(target: str) -> LMLiteResource:
    """The only one of a file, or the one that ``FILE:NAME`` names.

    Raises:
        FileError: There is none, several, or none of that name.
    """
    found = lmlites(target)
    if len(found) > 1:
        path: Path = split(target)[0]
        raise FileError(
            f"There are {len(found)} LMLites in {path}: {', '.join(found)}.",
            hint=f"Say which: {path}:{next(iter(found))}.",
            path=str(path),
        )
    return next(iter(found.values()))
