"""What happened in the simulator, counted and told to who listens."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 2000


@dataclass(frozen=True)
class Event:
    """One thing that happened; ``at`` in unix seconds. No secret is in it."""

    at: float
    kind: str
    text: str
    pod_id: str | None = None

    @property
    def clock(self) -> str:
        """Its time of day, here."""
        return time.strftime("%H:%M:%S", time.localtime(self.at))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class Events:
    """The latest events, and counters of all.

    Attributes:
        requests: By operation.
        creates: Pods made, by name.
        deletes: DELETEs that reached a pod, by name.
        doubled: Names that two pods had at a time.
    """

    def __init__(self, listener: Callable[[Event], None] | None = None) -> None:
        self._latest: deque[Event] = deque(maxlen=_KEPT)
        self._listener = listener
        self.requests: Counter[str] = Counter()
        self.creates: Counter[str] = Counter()
        self.deletes: Counter[str] = Counter()
        self.doubled: set[str] = set()

    def created(self, name: str, living: Sequence[str]) -> None:
        """Counts one more of that name among those that live, it included."""
        self.creates[name] += 1
        if living.count(name) > 1:
            self.doubled.add(name)

    def tell(self, kind: str, text: str, pod_id: str | None = None) -> None:
        """Adds one."""
        event = Event(time.time(), kind, text, pod_id)
        self._latest.append(event)
        if self._listener is not None:
            self._listener(event)

    def latest(self) -> list[dict[str, Any]]:
        """As JSON values, oldest first."""
        return [event.as_dict() for event in self._latest]
