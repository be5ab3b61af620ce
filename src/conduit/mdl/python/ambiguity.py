"""A warning for unions where nothing tells two of the records apart."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence

from conduit.mdl.form import Choice, Form, Record
from conduit.mdl.text.words import json_text


class AmbiguousUnion(UserWarning):
    """Two records of a union have the same required fields, so an answer may fit both; a tag field cures it."""


def warn_of_ambiguity(path: str, options: Sequence[Form], resolved: Callable[[Form], Form]) -> None:
    """Warns if records among the options share their required fields and no literal field tells them apart."""
    groups: dict[frozenset[str], list[Record]] = {}
    for option in options:
        record = resolved(option)
        if isinstance(record, Record):
            required = frozenset(member.name for member in record.members if member.required)
            groups.setdefault(required, []).append(record)
    for required, records in groups.items():
        if len(records) > 1 and not any(_tells_apart(name, records, resolved) for name in required):
            names = ", ".join(record.name for record in records)
            fields = ", ".join(sorted(required)) or "none"
            warnings.warn(
                f"{path or 'the type'}: a union of {names}, which have the same required fields ({fields}). "
                'Give each a field such as `kind: Literal["..."]` with its own value.',
                AmbiguousUnion,
                stacklevel=_levels_to_caller(),
            )


def _levels_to_caller() -> int:
    """How far up the code stands that asked, outside this package: the warning is about its types."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"].startswith("conduit."):
        level, frame = level + 1, frame.f_back
    return level - 1


def _tells_apart(name: str, records: list[Record], resolved: Callable[[Form], Form]) -> bool:
    seen: set[str] = set()
    for record in records:
        form = next(resolved(member.form) for member in record.members if member.name == name)
        if not isinstance(form, Choice):
            return False
        values = {json_text(value) for value in form.values}
        if seen & values:
            return False
        seen |= values
    return True
