"""The written form of constraints, such as ``(>=0, <=10)`` behind a type."""

from __future__ import annotations

import json
from collections.abc import Iterator

from conduit.mdl.form import Limits

_NUMBERS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"), ("multiple_of", "%"))


def write(limits: Limits) -> str:
    """The constraints in parentheses, or nothing when there are none."""
    parts = list(_parts(limits))
    return f"({', '.join(parts)})" if parts else ""


def _parts(limits: Limits) -> Iterator[str]:
    for name, sign in _NUMBERS:
        if (value := getattr(limits, name)) is not None:
            yield f"{sign}{json.dumps(value) if isinstance(value, int | float) else value}"
    if limits.min_length is not None:
        yield f"len>={limits.min_length}"
    if limits.max_length is not None:
        yield f"len<={limits.max_length}"
    if limits.pattern is not None:
        yield "/" + limits.pattern.replace("/", r"\/") + "/"
    if limits.unique:
        yield "unique"
