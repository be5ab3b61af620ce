"""Cutting a map's items into batches, a portion at a time: items are taken as batches are wanted.

With a ledger the items that have a record are found here and make no batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any

import anyio.to_thread
import pydantic_core

from conduit.dataflow import futures, identity
from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.job import Job, tokens_of
from conduit.errors import BlockInputError
from conduit.store import LedgerRow

# Items that are looked up in a ledger at once: their records, results included, are in memory together.
_PORTION = 64

# Is told an item's place, its key, and its record if it has one; says whether that record stands for a call.
Known = Callable[[int, str, LedgerRow | None], bool]


class Cutter:
    """The batches of one map.

    Args:
        block: What is mapped.
        work: The map.
        known: See there; asked for the items of a map with a ledger.
    """

    def __init__(self, block: Callee, work: Job, known: Known) -> None:
        self._block, self._work, self._known = block, work, known
        self._tokens_of = tokens_of(block, work)
        self._keys = _Keys(block, work) if work.ledger is not None else None
        self._next = 0
        self._open = Batch(work, [], [], None)
        self._open_tokens = 0

    def __iter__(self) -> Iterator[Batch]:
        items = iter(self._work.items)
        while portion := self._portion(items):
            yield from self._cut(portion)
        yield from self._closed()

    async def batches(self) -> AsyncIterator[Batch]:
        """The same for coroutines: items are taken in the loop's thread, and looked up in another one."""
        items = iter(self._work.items)
        while portion := self._portion(items):
            ready = (
                self._cut(portion)
                if self._keys is None
                else await anyio.to_thread.run_sync(self._cut, portion)
            )
            for batch in ready:
                yield batch
        for batch in self._closed():
            yield batch

    def _portion(self, items: Iterator[Any]) -> list[Any]:
        return list(islice(items, self._work.batch if self._keys is None else _PORTION))

    def _cut(self, portion: list[Any]) -> list[Batch]:
        first, self._next = self._next, self._next + len(portion)
        keys: list[str | None] = [None] * len(portion)
        done: set[int] = set()
        if self._keys is not None:
            portion = [futures.resolved((item,), {})[0][0] for item in portion]
            found = [self._keys.of(item) for item in portion]
            assert self._work.book is not None
            rows = self._work.book.lookup(found)
            done = {i for i, key in enumerate(found) if self._known(first + i, key, rows.get(key))}
            keys = list(found)
        ready: list[Batch] = []
        for place, (item, key) in enumerate(zip(portion, keys, strict=True)):
            if place not in done:
                ready += self._add(first + place, item, key)
        return ready

    def _add(self, index: int, item: Any, key: str | None) -> list[Batch]:
        tokens = 0 if self._tokens_of is None else self._tokens_of(item)
        ready: list[Batch] = []
        if self._work.batch_tokens is not None and self._open_tokens + tokens > self._work.batch_tokens:
            ready = self._closed()
        batch = self._open
        batch.indexes.append(index)
        batch.items.append(item)
        if key is not None:
            batch.keys = batch.keys or []
            batch.keys.append(key)
        self._open_tokens += tokens
        return [*ready, *(self._closed() if len(batch.items) == self._work.batch else [])]

    def _closed(self) -> list[Batch]:
        """The open batch, if it holds anything; the next item opens another one."""
        batch, self._open, self._open_tokens = self._open, Batch(self._work, [], []), 0
        return [batch] if batch.items else []


class _Keys:
    """Under which a ledger knows the items: what decides the result, and which of several equal ones it is."""

    def __init__(self, block: Callee, work: Job) -> None:
        self._block, self._same = block, work.same
        # A fake's records are under other keys: a run with the model must not take them for its own.
        self._fake = identity.models_replaced()
        # Eight bytes of a key tell it well enough: two that share them only count on from each other.
        self._seen: dict[int, int] = {}

    def of(self, item: Any) -> str:
        """The key of the next item.

        Raises:
            NotCacheable: An argument cannot be written as JSON.
        """
        try:
            key = identity.call_key(self._block, (*self._block.bound, item), self._same)
        except BlockInputError:
            key = self._of_refused(item)
        if self._fake:
            key = hashlib.sha256(f"fake\n{key}".encode()).hexdigest()
        short = int(key[:16], 16)
        nth = self._seen.get(short, 0)
        self._seen[short] = nth + 1
        return f"{key}:{nth}"

    def _of_refused(self, item: Any) -> str:
        """The key of an item that the block's signature refuses; it has a record, too, and that is its failure."""
        shown = pydantic_core.to_json(item, fallback=lambda part: type(part).__qualname__)
        of = identity.identity(self._block)
        text = f"refused\n{of.block}\n{of.version}\n".encode() + shown
        return hashlib.sha256(text).hexdigest()
