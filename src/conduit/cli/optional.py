"""Parts that a command needs and that need not be installed."""

from __future__ import annotations

import importlib
from typing import Any

from conduit.errors import MissingDependency


def require(package: str, *, extra: str, to: str) -> Any:
    """Imports an optional package.

    Args:
        package: Its import name.
        extra: The extra of Conduit that brings it.
        to: What it is needed to do, as in ``to compile a schema``.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependency(
            f"The package {package} is needed to {to}, and is not installed.",
            hint=f'pip install "conduit-dataflow[{extra}]"',
            package=package,
        ) from error
