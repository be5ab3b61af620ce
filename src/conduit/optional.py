"""Packages that only some users need, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from conduit.errors import MissingDependency


def require(package: str, *, extra: str, user: str) -> Any:
    """Imports the package of an extra.

    Args:
        package: Its import name, or that of a module in it.
        extra: The extra of Conduit that brings it.
        user: What needs it, as the error begins: ``html_to_text``, ``Compiling a schema``.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise MissingDependency(
            f"{user} needs the package {name}, which is not installed.",
            hint=f"pip install 'conduit-dataflow[{extra}]'",
            package=name,
        ) from error
