"""Packages that a block needs and that need not be installed."""

from __future__ import annotations

import importlib
from typing import Any

from conduit.errors import MissingDependency


def require(package: str, *, extra: str, block: str) -> Any:
    """Imports the package of an extra.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependency(
            f"{block} needs the package {package.partition('.')[0]}, which is not installed.",
            hint=f"pip install 'conduit-dataflow[{extra}]'",
            package=package,
        ) from error
