"""What one case of ``mdl_decode`` is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Feature:
    """One feature."""

    name: str
    type_: Any
    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    unsaid: bool = False
    """MDL refuses the type on purpose: only pydantic's own schema is tried."""
    unasked: tuple[str, ...] = ()
    """JSON that is a value and that MDL does not ask a model for."""


FEATURES: list[Feature] = []


def feature(
    name: str,
    type_: Any,
    valid: Sequence[str],
    invalid: Sequence[str],
    *,
    unsaid: bool = False,
    unasked: Sequence[str] = (),
) -> None:
    FEATURES.append(Feature(name, type_, (*valid, *unasked), tuple(invalid), unsaid, tuple(unasked)))


def text(*values: str) -> list[str]:
    return [f'"{value}"' for value in values]
