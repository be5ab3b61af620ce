"""``conduit version``, and which versions of other packages Conduit works with."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from rich.console import Console

from conduit.cli.render import command

SHOWN = ("conduit-dataflow", "conduit-gpu-server", "mistralrs", "prefect", "fastapi", "pydantic", "duckdb")


@dataclass(frozen=True)
class Bounds:
    """The versions that fit: from ``least`` on, below ``below``."""

    least: str
    below: str

    def fit(self, found: str) -> bool:
        """Whether the version is one of them."""
        return _numbers(self.least) <= _numbers(found) < _numbers(self.below)

    def __str__(self) -> str:
        return f">={self.least},<{self.below}"


# As in the package's own requirements: pip can be told to ignore those, and a later install can break them.
NEEDED = {"prefect": Bounds("3.8.8", "4"), "fastapi": Bounds("0.139", "0.151")}


def found_version(package: str) -> str | None:
    """The installed version of a distribution, ``None`` when it is not installed."""
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return None


def run(*, as_json: bool) -> None:
    """Prints them."""
    with command(as_json=as_json) as screen:
        versions = {"python": platform.python_version()} | {name: found_version(name) for name in SHOWN}

        def show(out: Console) -> None:
            out.print(f"conduit {versions['conduit-dataflow']}")
            for name, value in versions.items():
                if name != "conduit-dataflow":
                    out.print(f"  {name} {value or 'not installed'}")

        screen.result(versions, show)


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
