"""How a type is refused: where, why, and what to write instead."""

from __future__ import annotations

from conduit.errors import UnsupportedType


def refusal(path: str, problem: str, remedy: str) -> UnsupportedType:
    """The error for the type at ``path``; ``problem`` and ``remedy`` are phrases without a full stop."""
    where = path or "the type"
    return UnsupportedType(f"{where}: {problem}.", hint=remedy[0].upper() + remedy[1:] + ".", path=path)
