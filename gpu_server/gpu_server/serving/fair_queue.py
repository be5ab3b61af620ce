"""A queue that is fair between callers: each in its turn, and in the order of arrival for each one."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Gives out one item of each caller in turn, so that many items of one do not hold up the one of another."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, deque[T]] = OrderedDict()  # whoever is next stands first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, caller: str, item: T) -> None:
        """Put an item behind the caller's others; a caller without items goes behind all callers."""
        self._callers.setdefault(caller, deque()).append(item)
        self._length += 1

    def put_back(self, caller: str, item: T) -> None:
        """Put an item that was given out in front of everything."""
        self._callers.setdefault(caller, deque()).appendleft(item)
        self._callers.move_to_end(caller, last=False)
        self._length += 1

    def first(self) -> T:
        """Return what `pop` would give.

        Raises:
            IndexError: The queue is empty.
        """
        if not self._callers:
            raise IndexError("the queue is empty")
        return next(iter(self._callers.values()))[0]

    def pop(self) -> T:
        """Give out the next item; its caller goes behind the others.

        Raises:
            IndexError: The queue is empty.
        """
        item = self.first()
        caller, items = self._callers.popitem(last=False)
        items.popleft()
        if items:
            self._callers[caller] = items
        self._length -= 1
        return item

    def remove(self, caller: str, item: T) -> bool:
        """Take an item out, and tell whether it was there."""
        items = self._callers.get(caller)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._callers[caller]
        self._length -= 1
        return True

    def clear(self) -> list[T]:
        """Take everything out and return it."""
        items = [item for each in self._callers.values() for item in each]
        self._callers.clear()
        self._length = 0
        return items
