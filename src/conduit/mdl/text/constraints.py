"""Constraints: which go with which type, and their written form, such as ``(>=0, <=10)`` behind a type."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from conduit.mdl.form import Form, Limits, ListOf, MapOf, Scalar, TupleOf
from conduit.mdl.text.words import json_text

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "%"}
_NUMERIC = frozenset({"int", "float", "decimal"})
_TEXTUAL = frozenset({"str", "url", "email"})
_LARGEST = frozenset({"ge", "gt", "min_length"})
_SMALLEST = frozenset({"le", "lt", "max_length"})
_ESCAPES = re.compile(r"\\(.)|(\\)\Z|[\n\r]", re.DOTALL)
_LINE_ENDS = {"\n": r"\n", "\r": r"\r"}


def write(limits: Limits) -> str:
    """The constraints in parentheses, or nothing when there are none."""
    parts = list(_parts(limits))
    return f"({', '.join(parts)})" if parts else ""


def _parts(limits: Limits) -> Iterator[str]:
    for name, sign in SIGNS.items():
        if (value := getattr(limits, name)) is not None:
            yield sign + json_text(value)
    if limits.min_length is not None:
        yield f"len>={limits.min_length}"
    if limits.max_length is not None:
        yield f"len<={limits.max_length}"
    if limits.pattern is not None:
        yield "/" + limits.pattern.replace("/", r"\/") + "/"
    if limits.unique:
        yield "unique"


def canonical_pattern(pattern: str) -> str:
    r"""The same expression without ``\/`` and without raw line ends, so that it can stand between slashes.

    Raises:
        ValueError: It ends in a lone backslash.
    """

    def one(found: re.Match[str]) -> str:
        if found[2]:
            raise ValueError("the pattern ends in a lone backslash")
        if found[1] == "/":
            return "/"
        return _LINE_ENDS.get(found[1] or found[0], found[0])

    return _ESCAPES.sub(one, pattern)


def fits(form: Form, name: str) -> bool:
    """Whether a constraint, by its name in ``Limits``, can be put on a form."""
    if name in SIGNS:
        return isinstance(form, Scalar) and form.kind in _NUMERIC
    if name == "unique":
        return isinstance(form, ListOf)
    textual = isinstance(form, Scalar) and form.kind in _TEXTUAL
    return textual or (name != "pattern" and isinstance(form, ListOf | TupleOf | MapOf))


def tightened(limits: Limits, found: Mapping[str, Any]) -> Limits:
    """Both constraints at once; where only one can be said, the one that was there."""
    values: dict[str, Any] = {}
    for name, new in found.items():
        old = getattr(limits, name)
        if name in _LARGEST and old is not None:
            values[name] = max(old, new)
        elif name in _SMALLEST and old is not None:
            values[name] = min(old, new)
        elif old is None or name == "unique":
            values[name] = new
    return dataclasses.replace(limits, **values)
