"""Unions in their one form."""

from __future__ import annotations

from collections.abc import Iterable

from conduit.mdl.form import Form, Null, UnionOf
from conduit.mdl.forms.identities import Identities


def union_of(options: Iterable[Form], identities: Identities) -> Form:
    """The union of some forms: flat, each once, null last. A single one is no union."""
    found: dict[int, Form] = {}
    null: dict[int, Form] = {}
    for option in options:
        for part in option.options if isinstance(option, UnionOf) else (option,):
            (null if isinstance(part, Null) else found).setdefault(identities.of(part), part)
    parts = (*found.values(), *null.values())
    return parts[0] if len(parts) == 1 else UnionOf(parts)
