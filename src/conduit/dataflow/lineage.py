"""Which task runs of a flow run made a value, so that the flow's graph shows where the next task's input came from.

Prefect knows results by their identity and forgets them when a list is sliced or results are gathered in a new one.
Here a result is remembered with its items and its fields, and a list is known by what it holds. Only what lives is
recognised: an object that Python may replace by another at the same address is kept alive, the rest is held weakly.
Forgetting costs an edge in the picture, never a value.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import Any
from uuid import UUID

# The most values remembered in one flow run; the oldest are forgotten first.
_CAPACITY = 50_000
# How deep results are remembered and arguments searched, and how many items of one container.
_DEPTH = 2
_BREADTH = 100_000

# The types of most values: they hold nothing.
_PLAIN = frozenset((str, int, float, bool, bytes, type(None)))
_NEVER = (bool, type(None), type(...), type(NotImplemented), Enum, type, types.FunctionType, types.ModuleType)


class Lineage:
    """The values that the tasks of one flow run have made."""

    def __init__(self) -> None:
        self._made_by: OrderedDict[int, tuple[Any, frozenset[UUID]]] = OrderedDict()
        # Submitted tasks end in threads of their own.
        self._lock = threading.Lock()

    def record(self, value: Any, runs: Iterable[UUID], depth: int = _DEPTH) -> None:
        """Remembers a value, its items and its fields as made by task runs; a later maker replaces an earlier."""
        makers = frozenset(runs)
        with self._lock:
            self._record(value, makers, depth)
            while len(self._made_by) > _CAPACITY:
                self._made_by.popitem(last=False)

    def makers(self, value: Any) -> set[UUID]:
        """The task runs that made a value, or what it is put together from."""
        found: set[UUID] = set()
        with self._lock:
            self._search(value, found, _DEPTH)
        return found

    def _record(self, value: Any, makers: frozenset[UUID], depth: int) -> None:
        if _has_identity(value):
            self._made_by[id(value)] = (_hold(value), makers)
            self._made_by.move_to_end(id(value))
        if depth:
            for part in _parts(value):
                self._record(part, makers, depth - 1)

    def _search(self, value: Any, found: set[UUID], depth: int) -> None:
        held = self._made_by.get(id(value))
        if held is not None and _held(held[0]) is value:
            found.update(held[1])
        elif depth:
            for part in _parts(value):
                self._search(part, found, depth - 1)


def _has_identity(value: Any) -> bool:
    if isinstance(value, _NEVER):
        return False
    if type(value) is int:
        return not -5 <= value <= 256
    if type(value) is str and len(value) <= 32:
        # Python shares short texts that look like names among all code that writes them.
        return len(value) > 1 and sys.intern(value[:1] + value[1:]) is not value
    return not (type(value) in (tuple, bytes, frozenset) and not value)


def _hold(value: Any) -> Any:
    if type(value).__weakrefoffset__:
        return weakref.ref(value)
    return value


def _held(holder: Any) -> Any:
    return holder() if type(holder) is weakref.ref else holder


def _parts(value: Any) -> Iterator[Any]:
    if type(value) in _PLAIN:
        return iter(())
    if isinstance(value, list | tuple | set | frozenset):
        return islice(iter(value), _BREADTH)
    if isinstance(value, dict):
        return islice(iter(list(value.values())), _BREADTH)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return iter([getattr(value, field.name, None) for field in dataclasses.fields(value)])
    if hasattr(type(value), "model_fields"):
        return iter(list(vars(value).values()))
    return iter(())
