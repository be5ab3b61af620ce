"""Results that stay on disk: a sequence over a ledger's records, of which a few at a time are in memory."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from conduit import settings
from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping import records
from conduit.dataflow.mapping.job import ItemFailure
from conduit.errors import ConduitError, LedgerUnavailable

if TYPE_CHECKING:
    from conduit.store import LedgerRow, Store

R_co = TypeVar("R_co", covariant=True)

# Records that are read at once.
_CHUNK = 64
_DIGEST = 32
_KEY = _DIGEST + 4
# Keys that are kept in memory, in bytes; more of them lie in a file without a name.
_IN_MEMORY = 1 << 20


@dataclass(frozen=True)
class Counts:
    """What became of a map's items.

    Attributes:
        total: How many there were.
        done: How many have a result.
        failed: How many have none.
        reused: How many of both were on record before the map began.
    """

    total: int
    done: int
    failed: int
    reused: int


class Keys:
    """The keys of a map's items in a ledger, in the items' order; 36 bytes each."""

    def __init__(self, packed: bytes = b"") -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 # it lives as long as this
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)
        self._file.write(packed)
        self._count = len(packed) // _KEY

    def __len__(self) -> int:
        return self._count

    def add(self, key: str) -> None:
        """Appends one."""
        digest, _, nth = key.partition(":")
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(bytes.fromhex(digest) + int(nth).to_bytes(4, "big"))
            self._count += 1

    def of(self, start: int, stop: int) -> list[str]:
        """Those of a range of items."""
        with self._lock:
            self._file.seek(start * _KEY)
            packed = self._file.read((stop - start) * _KEY)
        parts = [packed[at : at + _KEY] for at in range(0, len(packed), _KEY)]
        return [f"{part[:_DIGEST].hex()}:{int.from_bytes(part[_DIGEST:], 'big')}" for part in parts]

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            self._file.seek(0)
            return Keys, (self._file.read(),)


class StoredResults(Sequence[R_co], Generic[R_co]):
    """The results of ``map_stored``, in the items' order, read from the ledger as they are asked for.

    They can be gone through again and again, and given to the next map, which takes them as it needs them. An item
    that failed, in a map that collects, is an ``ItemFailure``.
    """

    def __new__(cls, *given: Any) -> Any:
        """A parameter of type ``Sequence[T]`` takes the values: pydantic makes this class anew of valid items."""
        return given[0] if len(given) == 1 else super().__new__(cls)

    def __init__(self, block: Callee, ledger: str, keys: Keys, counts: Counts) -> None:
        self.ledger, self.counts = ledger, counts
        self._block, self._keys = block, keys

    def __len__(self) -> int:
        return self.counts.total

    @overload
    def __getitem__(self, index: int) -> R_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[R_co]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self._result(*next(self._rows(at, at + 1)))

    def __iter__(self) -> Iterator[R_co]:
        for index, row in self._rows(0, len(self)):
            yield self._result(index, row)

    def failures(self) -> Iterator[ItemFailure]:
        """The items that failed."""
        if not self.counts.failed:
            return
        for index, row in self._rows(0, len(self)):
            if row.state == "failed":
                yield self._failure(index, row)

    def _rows(self, start: int, stop: int) -> Iterator[tuple[int, LedgerRow]]:
        store = self._store()
        for first in range(start, stop, _CHUNK):
            keys = self._keys.of(first, min(first + _CHUNK, stop))
            try:
                rows = store.ledger_lookup(self.ledger, keys)
            except ConduitError as error:
                raise self._unreadable(error.message) from error
            for index, key in enumerate(keys, first):
                if key not in rows:
                    raise self._unreadable(f"item {index} is not on record any more.")
                yield index, rows[key]

    def _result(self, index: int, row: LedgerRow) -> Any:
        if row.state == "failed":
            return self._failure(index, row)
        try:
            return records.value(self._block, row)
        except ValueError as error:
            raise self._unreadable(
                f"the record of item {index} is no result of this block: {error}"
            ) from error

    def _failure(self, index: int, row: LedgerRow) -> ItemFailure:
        return ItemFailure(index, records.failure(self._block, row))

    def _store(self) -> Store:
        from conduit.store import open_store

        return open_store(settings.load())

    def _unreadable(self, why: str) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"Results in the ledger {self.ledger!r} cannot be read: {why}",
            hint="Run the map again: what is missing is called again.",
            ledger=self.ledger,
        )

    def __repr__(self) -> str:
        of = self.counts
        return (
            f"<StoredResults of {self._block.options.name} in ledger {self.ledger!r}: "
            f"{of.done} done, {of.failed} failed>"
        )
