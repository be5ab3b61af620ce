"""What there was to see of a growing value at one moment, without a copy of it.

Containers and texts of a value that is being read only grow at their end. So a moment is the path of those that are
open, with the length that each had; what was complete by then is shared by all moments.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

MISSING: Final = object()
"""Stands for a value that is not there, since ``None`` is one."""

Container: TypeAlias = list[Any] | dict[str, Any]


class GrowingText:
    """A text in the parts that it came in: to add one costs the same however long it is."""

    __slots__ = ("_joined", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._joined = (0, "")

    def text(self, count: int) -> str:
        """The first ``count`` parts as one text."""
        done, text = self._joined
        if done > count:
            return "".join(self.parts[:count])
        if done < count:
            text += "".join(self.parts[done:count])
            self._joined = (count, text)
        return text


class Level(NamedTuple):
    """An open container: how long it was, and under which key what is open in it will stand."""

    content: Container
    length: int
    key: str


class Snapshot(NamedTuple):
    """A moment.

    Attributes:
        levels: The open containers, outermost first. The outermost is a list that holds the root.
        text: The text that grows within the last of them, and how many parts it had.
    """

    levels: tuple[Level, ...]
    text: tuple[GrowingText, int] | None = None

    def value(self) -> Any:
        """The value, or ``MISSING``. A container in which there is nothing to see yet is not there."""
        inner: Any = MISSING
        if self.text is not None and self.text[1]:
            inner = self.text[0].text(self.text[1])
        for level in reversed(self.levels):
            inner = _grown(level, inner) or MISSING
        return inner if inner is MISSING else inner[0]


def _grown(level: Level, inner: Any) -> Container:
    """A copy of a container as it was, with what was open in it."""
    if isinstance(level.content, list):
        items = level.content[: level.length]
        if inner is not MISSING:
            items.append(inner)
        return items
    members = level.content.copy()
    if len(members) > level.length:
        members = dict(islice(members.items(), level.length))
    if inner is not MISSING:
        members[level.key] = inner
    return members
