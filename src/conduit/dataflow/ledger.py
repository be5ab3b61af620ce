"""Ledgers: how each item of a map ended, one record an item, on disk before the item's place is given to another.

A map that runs again under the same ledger takes from it what is done. One process at a time maps under a ledger.
The records are the store's; what they mean for a map is decided in ``mapping``.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conduit import settings
from conduit.errors import BlockInputError, ConduitError, LedgerInUse, LedgerUnavailable

if TYPE_CHECKING:
    from conduit.store import Lease, LedgerRow, Store

logger = logging.getLogger(__name__)

# A process that says nothing for so long has lost its ledger; a dead one of this host has at once.
_LEASE_S = 60.0
_RENEW_S = 15.0
# How long a record may wait for others when nobody waits for it.
_GATHER_S = 0.1
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Ledger:
    """Where a map writes down how each item ended; given to ``map(ledger=...)``.

    Attributes:
        name: The same in every run that is to go on where the last one ended; the project's own.
        retry_failed: Whether items that failed in an earlier run are called again.
    """

    name: str
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or len(self.name) > _LONGEST_NAME:
            raise BlockInputError(
                f"Ledger got name={self.name!r:.80}.",
                hint=f"A ledger's name is a text of 1 to {_LONGEST_NAME} characters.",
                parameter="ledger",
            )


class Book:
    """A ledger that is open: its records are read, and written by a thread of its own, many in a transaction.

    Args:
        name: The ledger's.
        store: The records.
        lease: Held while it is open; ``None`` for a helper of the process that holds it.
    """

    def __init__(self, name: str, store: Store, lease: Lease | None) -> None:
        self.name = name
        self._store, self._lease = store, lease
        self._turn = threading.Condition()
        self._waiting: list[tuple[LedgerRow, Future[None]]] = []
        self._hurry = self._closing = False
        self._error: ConduitError | None = None
        self._renew_at = time.monotonic() + _RENEW_S
        self._thread = threading.Thread(target=self._run, name="conduit-ledger", daemon=True)
        self._thread.start()

    def lookup(self, keys: Sequence[str]) -> dict[str, LedgerRow]:
        """The records of these keys, as far as there are any.

        Raises:
            LedgerUnavailable: They cannot be read.
        """
        try:
            return self._store.ledger_lookup(self.name, keys)
        except ConduitError as error:
            raise self._unavailable("read", error) from error

    def check(self) -> None:
        """Ends a map before it pays for a call whose record could not be kept.

        Raises:
            LedgerUnavailable: A record could not be written.
            LedgerInUse: Another process has taken the ledger.
        """
        if self._error is not None:
            raise self._error

    def add(self, row: LedgerRow, *, now: bool) -> Future[None]:
        """Has a record written; the future tells when it is on disk.

        Args:
            row: The record.
            now: Somebody waits for it. Otherwise it may wait for others for a moment, or for ``hurry``.

        Raises:
            LedgerUnavailable: An earlier one could not be written.
        """
        self.check()
        written: Future[None] = Future()
        with self._turn:
            self._waiting.append((row, written))
            self._hurry = self._hurry or now
            self._turn.notify()
        return written

    def hurry(self) -> None:
        """Has everything written that was added so far."""
        with self._turn:
            self._hurry = True
            self._turn.notify()

    def close(self) -> None:
        """Writes what is left, and gives the ledger to others."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join()
        if self._lease is not None:
            try:
                self._store.release_lease(self._lease)
            except ConduitError:
                logger.debug("the lease of ledger %r was not given back; it ends with its time", self.name)

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._closing, self._until_renewal())
                if self._waiting:
                    self._turn.wait_for(lambda: self._hurry or self._closing, _GATHER_S)
                rows, self._waiting, self._hurry = self._waiting, [], False
                over = self._closing and not rows
            if rows:
                self._commit(rows)
            if over:
                return
            if self._until_renewal() <= 0:
                self._renew()

    def _commit(self, rows: list[tuple[LedgerRow, Future[None]]]) -> None:
        try:
            self.check()
            self._store.ledger_put([row for row, _ in rows])
        except Exception as error:  # whatever it was, somebody waits for each of these rows
            if self._error is None:
                self._error = self._unavailable("written", error)
        for _, written in rows:
            if not written.set_running_or_notify_cancel():
                continue
            if self._error is None:
                written.set_result(None)
            else:
                written.set_exception(self._error)

    def _until_renewal(self) -> float:
        return self._renew_at - time.monotonic()

    def _renew(self) -> None:
        self._renew_at = time.monotonic() + _RENEW_S
        if self._lease is None:
            return
        try:
            held = self._store.renew_lease(self._lease, ttl_s=_LEASE_S)
        except Exception as error:  # the next commit will tell, if that is what is wrong
            logger.warning("the lease of ledger %r was not renewed: %s", self.name, error)
            return
        if not held and self._error is None:
            self._error = _in_use(self.name)

    def _unavailable(self, what: str, error: Exception) -> LedgerUnavailable:
        made = LedgerUnavailable(
            f"The ledger {self.name!r} cannot be {what}: {getattr(error, 'message', error)}",
            hint=getattr(error, "hint", None),
            ledger=self.name,
        )
        made.__cause__ = error
        return made


@contextmanager
def opened(ledger: Ledger, *, helping: bool = False) -> Iterator[Book]:
    """Opens a ledger for this process; maps of the same process share it.

    Args:
        ledger: Which.
        helping: For a process that runs batches of a map of another one, which holds the ledger.

    Raises:
        LedgerInUse: Another process maps under it.
        LedgerUnavailable: The records cannot be used.
    """
    from conduit.store import open_store

    given = settings.load()
    try:
        store = open_store(given)
    except ConduitError as error:
        raise LedgerUnavailable(
            f"The ledger {ledger.name!r} cannot be opened: {error.message}",
            hint=error.hint,
            ledger=ledger.name,
        ) from error
    place = store.location, given.project, ledger.name
    with _opening:
        shelf = _shelves.get(place)
        if shelf is None:
            shelf = _shelves[place] = _Shelf(
                Book(ledger.name, store, None if helping else _lease(store, *place))
            )
        shelf.readers += 1
    try:
        yield shelf.book
    finally:
        with _opening:
            shelf.readers -= 1
            if not shelf.readers:
                del _shelves[place]
                shelf.book.close()


@dataclass
class _Shelf:
    book: Book
    readers: int = 0


_shelves: dict[tuple[str, str, str], _Shelf] = {}
_opening = threading.Lock()


def _lease(store: Store, _location: str, project: str, name: str) -> Lease:
    digest = hashlib.sha256(f"{project}\n{name}".encode()).hexdigest()[:32]
    try:
        lease = store.acquire_lease(f"ledger:{digest}", ttl_s=_LEASE_S)
    except ConduitError as error:
        raise LedgerUnavailable(
            f"The ledger {name!r} cannot be opened: {error.message}", hint=error.hint, ledger=name
        ) from error
    if lease is None:
        raise _in_use(name)
    return lease


def _in_use(name: str) -> LedgerInUse:
    return LedgerInUse(
        f"Another process maps under the ledger {name!r} at this moment.",
        hint=f"Wait for it, or map under another name. A process of another machine that died holds it for "
        f"{_LEASE_S:g} s.",
        ledger=name,
    )
