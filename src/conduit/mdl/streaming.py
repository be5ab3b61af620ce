"""Answers that are seen while they are written: growing ``Partial`` values, and the validated value at the end.

What a ``Partial`` holds is plain JSON data and not validated. Strings grow; numbers, choices, dates and other
formats appear when they are complete; lists and maps grow by elements that have something to show; records hold
the fields that were begun. Only the last event, the value itself, is what the type promises.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar, Union

from conduit.mdl.answer import Parsed, parse
from conduit.mdl.kept import Kept
from conduit.mdl.partial.incremental import Reader
from conduit.mdl.partial.places import Places
from conduit.mdl.partial.snapshot import Snapshot
from conduit.mdl.python.read import read
from conduit.mdl.reasoning import shown

T = TypeVar("T")


class Partial(Generic[T]):
    """What there is of an answer so far. Later growth does not change it; neither should its reader.

    Attributes:
        value: Plain JSON data. What has nothing to show yet is not there.
        attempt: Which attempt at an answer it belongs to, from 1.
    """

    __slots__ = ("_attempt", "_snapshot", "_value", "_within")

    def __init__(self, value: Any, attempt: int = 1) -> None:
        self._value = value
        self._snapshot: Snapshot | None = None
        self._within: tuple[str, ...] = ()
        self._attempt = attempt

    @classmethod
    def of(cls, snapshot: Snapshot, attempt: int = 1, within: tuple[str, ...] = ()) -> Partial[T]:
        """A partial whose value, the part of the snapshot at ``within``, is put together at its first use."""
        partial = cls(None, attempt)
        partial._snapshot, partial._within = snapshot, within
        return partial

    @property
    def value(self) -> Any:
        snapshot = self._snapshot
        if snapshot is not None:
            value = snapshot.value()
            for step in self._within:
                value = value[step]
            self._value, self._snapshot = value, None
        return self._value

    @property
    def attempt(self) -> int:
        return self._attempt

    def get(self, *path: str | int, default: Any = None) -> Any:
        """What stands at a path of keys and indices, such as ``get("items", 0, "price")``."""
        found = self.value
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return default
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Partial):
            return NotImplemented
        return bool(self.value == other.value and self.attempt == other.attempt)

    __hash__ = None  # type: ignore[assignment] # its value is lists and dicts

    def __repr__(self) -> str:
        return f"Partial({self.value!r}, attempt={self.attempt})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Partial, (self.value, self.attempt)


Stream: TypeAlias = Iterator[Union[Partial[T], T]]  # noqa: UP007 # the alias is also looked at when the code runs
"""Growing partial values, then the value."""

AsyncStream: TypeAlias = AsyncIterator[Union[Partial[T], T]]  # noqa: UP007 # as above
"""``Stream`` for ``async for``."""


class StreamParser(Generic[T]):
    """Reads one answer piece by piece.

    Args:
        type_: What the answer should be.
        attempt: Which attempt at an answer it is, for the partial values.
        reasoning: The answer may have a field for reasoning before the value; see ``prompt``.

    Raises:
        UnsupportedType: MDL cannot express the type.
    """

    def __init__(self, type_: type[T], *, attempt: int = 1, reasoning: bool = False) -> None:
        self._type = type_
        self._attempt = attempt
        self._reasoning = reasoning
        self._pieces: list[str] = []
        places, self._within = _places[reasoning](type_)
        self._reader = Reader(places.root)
        self._partial: Partial[T] | None = None

    @property
    def partial(self) -> Partial[T] | None:
        """What there is to see so far."""
        return self._partial

    @property
    def text(self) -> str:
        """All that was fed."""
        return "".join(self._pieces)

    def feed(self, piece: str) -> Partial[T] | None:
        """Takes the next piece, of any size; ``None`` when it shows nothing new."""
        self._pieces.append(piece)
        if not self._reader.feed(piece):
            return None
        self._partial = Partial.of(self._reader.snapshot(), self._attempt, self._within)
        return self._partial

    def finish(self, *, truncated: bool = False) -> Parsed[T]:
        """Parses the whole answer; see ``parse``, also for what it raises.

        Args:
            truncated: The token limit cut the answer; the error then carries what there was to see.
        """
        return parse(self.text, self._type, truncated=truncated, reasoning=self._reasoning)


def stream(chunks: Iterable[str], type_: type[T]) -> Stream[T]:
    """Yields what there is of an answer as its pieces arrive, and at the end the validated value.

    Args:
        chunks: The answer, cut anywhere.
        type_: What it should be.

    Raises:
        UnsupportedType: MDL cannot express the type.
        AnswerError: The whole answer is not a value of the type.
    """
    parser = StreamParser(type_)
    for chunk in chunks:
        if (partial := parser.feed(chunk)) is not None:
            yield partial
    yield parser.finish().value


async def astream(chunks: AsyncIterable[str], type_: type[T]) -> AsyncStream[T]:
    """``stream`` over asynchronous pieces."""
    parser = StreamParser(type_)
    async for chunk in chunks:
        if (partial := parser.feed(chunk)) is not None:
            yield partial
    yield parser.finish().value


def _plain_places(type_: Any) -> tuple[Places, tuple[str, ...]]:
    return Places(read(type_)), ()


def _reasoned_places(type_: Any) -> tuple[Places, tuple[str, ...]]:
    document, within = shown(read(type_))
    return Places(document), within


_places: Final = {False: Kept(_plain_places), True: Kept(_reasoned_places)}
"""By whether reasoning is asked for: the places of a type, and where its value stands."""
