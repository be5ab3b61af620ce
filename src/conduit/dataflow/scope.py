"""A transaction that is under way: the parts that blocks have added to it, and how they end together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from conduit.errors import TransactionError, TransactionFailed

logger = logging.getLogger(__name__)


class Part(Protocol):
    """One thing that a transaction has changed: a database, a file.

    Attributes:
        name: For messages.
        may_refuse: Whether its commit may fail. Those go first, so that the others can still be undone.
    """

    name: str
    may_refuse: bool

    def prepare(self) -> None:
        """Raises where a commit cannot work, as far as that is known; called of all parts before any commit."""

    def commit(self) -> None:
        """Makes the changes final; called once."""

    def rollback(self) -> None:
        """Undoes the changes; called once, also after a commit that failed."""


T = TypeVar("T", bound=Part)


class Scope:
    """A transaction that is under way, and its parts."""

    def __init__(self) -> None:
        self._parts: dict[Hashable, Part] = {}
        self._lock = threading.Lock()
        self._over: str | None = None

    def part(self, key: Hashable, make: Callable[[], T]) -> T:
        """The part under a key, made at its first use.

        Raises:
            TransactionError: The transaction is over.
        """
        with self._lock:
            if self._over:
                raise ended(self._over)
            if key not in self._parts:
                self._parts[key] = make()
            return self._parts[key]  # type: ignore[return-value] # a key has one kind of part

    def known(self, key: Hashable) -> Part | None:
        """The part under a key, if there is one."""
        with self._lock:
            return self._parts.get(key)

    def commit(self) -> None:
        """Makes all parts final.

        Raises:
            TransactionFailed: One of them refused; it and those that come after it were undone.
        """
        parts = sorted(self._end("committed"), key=lambda part: not part.may_refuse)
        steps = [(part.prepare, part, 0) for part in parts]
        steps += [(part.commit, part, index) for index, part in enumerate(parts)]
        for step, part, index in steps:
            try:
                step()
            except Exception as error:
                done, rest = parts[:index], parts[index:]
                _undo(rest)
                raise TransactionFailed(
                    f"{part.name} did not take the transaction: {getattr(error, 'message', error)}",
                    hint="Everything in the transaction was undone."
                    if not done
                    else f"Already final: {', '.join(p.name for p in done)}. A transaction over several "
                    "databases is only as safe as each of them.",
                    committed=tuple(p.name for p in done),
                    undone=tuple(p.name for p in rest),
                ) from error

    def rollback(self) -> None:
        """Undoes all parts, the last one first; nothing happens when the transaction is over."""
        _undo(self._end("rolled back"))

    def _end(self, how: str) -> list[Part]:
        with self._lock:
            parts = [] if self._over else list(self._parts.values())
            self._over = self._over or how
        return parts


def ended(how: str) -> TransactionError:
    """The error for work that comes too late."""
    return TransactionError(
        f"The transaction around this block is {how} already",
        hint="Wait for submitted blocks before the transaction ends; after an error in it, start another one.",
    )


def _undo(parts: list[Part]) -> None:
    for part in reversed(parts):
        try:
            part.rollback()
        except Exception:
            # The others are undone all the same, and the error that made this a rollback is on its way up.
            logger.exception("%s could not be undone", part.name)
