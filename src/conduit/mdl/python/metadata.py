"""What the metadata of an ``Annotated`` or a field says: docs, constraints, a discriminator.

Constraints that MDL text has no sign for (bounds of dates, digits of decimals, predicates, time zones) are not in
the form. Validation enforces them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import annotated_types
import pydantic
import typing_extensions
from pydantic.fields import FieldInfo

from conduit.mdl.form import Form, Limits, ListOf, MapOf, Null, Scalar, TupleOf, UnionOf
from conduit.mdl.python.refusals import refusal
from conduit.mdl.text.constraints import SIGNS, canonical_pattern, fits, tightened
from conduit.mdl.text.words import folded

_LIMITS = tuple(item.name for item in dataclasses.fields(Limits) if item.name != "unique")
_LARGEST_SIZE = 2**63 - 1
_BOUNDED_BY_VALIDATION = frozenset({"datetime", "date", "time", "duration"})


def flat(metadata: Iterable[Any]) -> Iterator[Any]:
    """The metadata, with that of fields among it unpacked."""
    for item in metadata:
        yield item
        if isinstance(item, FieldInfo):
            yield from flat(item.metadata)


def doc_in(metadata: Iterable[Any]) -> str:
    """The first doc: a plain string or a ``Doc``."""
    for item in metadata:
        if isinstance(item, str):
            return folded(item)
        if isinstance(item, annotated_types.DocInfo | typing_extensions.Doc):
            return folded(item.documentation)
    return ""


def is_tagged(metadata: Iterable[Any]) -> bool:
    """Whether a discriminator tells the records of a union apart."""
    return any(
        isinstance(item, pydantic.Discriminator)
        or (isinstance(item, FieldInfo) and item.discriminator is not None)
        for item in metadata
    )


def is_encoded(metadata: Iterable[Any]) -> bool:
    """Whether the value travels as a string of JSON."""
    return any(item is pydantic.Json or isinstance(item, pydantic.Json) for item in flat(metadata))


def limits_in(metadata: Iterable[Any], path: str) -> list[tuple[str, Any]]:
    """All constraints, by their names in ``Limits``.

    Raises:
        UnsupportedType: One cannot be written down.
    """
    found = (
        (name, _plain(name, raw, path))
        for item in flat(metadata)
        if not isinstance(item, str | FieldInfo)
        for name in _LIMITS
        if (raw := getattr(item, name, None)) is not None
    )
    return [(name, value) for name, value in found if value is not None]


def _plain(name: str, value: Any, path: str) -> Any:
    if name == "pattern":
        return _pattern(value, path)
    if name in ("min_length", "max_length"):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_SIZE:
            raise refusal(
                path, f"the constraint {name}={value!r} is no size", "write a whole number from 0 on"
            )
        return value
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            if math.isinf(value) and (value > 0) == (name in ("le", "lt")):
                return None  # no bound at all
            raise refusal(path, f"the constraint {name}={value} leaves no number", "drop it")
        return int(value) if isinstance(value, Decimal) and value == value.to_integral() else float(value)
    return value


def _pattern(value: Any, path: str) -> str:
    if isinstance(value, re.Pattern) and value.flags & ~re.UNICODE:
        raise refusal(path, "has a pattern with flags", "write the pattern so that it needs none")
    text = value.pattern if isinstance(value, re.Pattern) else value
    try:
        text.encode()
        return canonical_pattern(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise refusal(
            path, f"has a pattern that cannot be written ({error})", "correct the pattern"
        ) from error


def constrained(
    form: Form, found: list[tuple[str, Any]], path: str, resolved: Callable[[Form], Form]
) -> Form:
    """The form under more constraints; those of a union go to each of its options.

    Args:
        form: What ``resolved`` gives for a reference is constrained in its place.
        found: Constraints by their names in ``Limits``.
        path: Where the form stands.
        resolved: Gives the form that a reference stands for.

    Raises:
        UnsupportedType: A constraint does not go with the type.
    """
    if not found or isinstance(form, Null):
        return form
    form = resolved(form)
    if isinstance(form, UnionOf):
        return UnionOf(tuple(constrained(part, found, path, resolved) for part in form.options))
    for name, value in found:
        bounded = isinstance(form, Scalar) and form.kind in _BOUNDED_BY_VALIDATION
        if bounded and name in SIGNS and name != "multiple_of":
            continue
        if not fits(form, name) or (name in SIGNS and not isinstance(value, int | float)):
            raise refusal(path, f"the constraint {name}={value!r} does not go with its type", "drop it")
        assert isinstance(form, Scalar | ListOf | TupleOf | MapOf)
        if name == "min_length" and value == 0:
            continue  # at least none at all is no constraint
        form = dataclasses.replace(form, limits=tightened(form.limits, {name: value}))
    return form
