"""Which forms are the same, told without comparing them whole, however many there are and however deep.

Stricter than Python's equality, for which ``1``, ``1.0`` and ``True`` are one value.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from conduit.mdl.form import (
    Choice,
    Form,
    Limits,
    ListOf,
    MapOf,
    Member,
    Record,
    Ref,
    Scalar,
    TupleOf,
    children,
)

_LIMITS: Final = tuple(limit.name for limit in dataclasses.fields(Limits))


class Identities:
    """Numbers forms, from their parts upwards: two forms have one number if they are the same."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._seen: dict[
            int, tuple[Form, int]
        ] = {}  # by object; holds the form, so that no other takes its place

    def of(self, form: Form) -> int:
        """The number of a form."""
        if (seen := self._seen.get(id(form))) is not None:
            return seen[1]
        key = (type(form), _own(form), *map(self.of, children(form)))
        number = self._numbers.setdefault(key, len(self._numbers))
        self._seen[id(form)] = form, number
        return number


def _own(form: Form) -> Any:
    match form:
        case Scalar(kind=kind, limits=limits):
            return kind, _limits(limits)
        case Choice(values=values):
            return tuple(map(json.dumps, values))
        case ListOf(limits=limits) | MapOf(limits=limits):
            return _limits(limits)
        case TupleOf(variadic=variadic, limits=limits):
            return variadic, _limits(limits)
        case Ref(name=name):
            return name
        case Record(members=members):
            return tuple(map(_member, members))
    return None


def _limits(limits: Limits) -> Any:
    return tuple(repr(getattr(limits, name)) for name in _LIMITS)


def _member(member: Member) -> tuple[Any, ...]:
    default = json.dumps(member.default) if member.has_default else None
    return member.name, member.doc, member.required, default
