"""Default values as JSON."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pydantic_core

from conduit.mdl.python.refusals import refusal
from conduit.mdl.text.words import json_text

_EMPTY: tuple[Any, ...] = (
    list, dict, set, frozenset, tuple, deque, OrderedDict, Counter, str, int, float, bool,
)  # fmt: skip


def made_by(factory: Any) -> tuple[bool, Any]:
    """Whether a factory is known to give the same value each time, and that value as JSON.

    Only built-in types are called. Any other factory may read a clock or count up, so its field is just optional.
    """
    known = any(factory is kind for kind in _EMPTY)
    return (True, as_json(factory(), "")) if known else (False, None)


def as_json(default: Any, path: str) -> Any:
    """A default value as JSON data, equal in every process: a set comes sorted.

    Raises:
        UnsupportedType: JSON cannot hold it.
    """
    try:
        value = pydantic_core.to_jsonable_python(_ordered(default), by_alias=True)
        json_text(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise refusal(
            path, f"has a default {default!r:.80} that JSON cannot hold", "drop the default"
        ) from error
    return value


def _ordered(value: Any) -> Any:
    if isinstance(value, AbstractSet):
        plain = [pydantic_core.to_jsonable_python(_ordered(item), by_alias=True) for item in value]
        return sorted(plain, key=json_text)
    if isinstance(value, Mapping):
        return {key: _ordered(item) for key, item in value.items()}
    if type(value) in (list, tuple, deque):
        return [_ordered(item) for item in value]
    return value
