"""What was made of a type or a form, kept for the next time.

By identity: equal types may differ in what matters here (the order of a union, the other names of a choice), and to
hash a form costs more than most uses of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MOST = 1024


class Kept(Generic[K, V]):
    """Makes something of an object at its first use; holds the object, so that no other takes its identity."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._found: dict[int, tuple[K, V]] = {}

    def __call__(self, key: K) -> V:
        found = self._found.get(id(key))
        if found is None:
            if len(self._found) >= _MOST:
                self._found.clear()
            found = self._found[id(key)] = key, self._make(key)
        return found[1]
