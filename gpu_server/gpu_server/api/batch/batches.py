"""All batches of the server: found by id, bounded in number and bytes, kept for a while after their end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.batch.batch import Batch, Working
from gpu_server.api.batch.intake import Intake

MAX_RUNNING = 16
MAX_KEPT = 64
RETRY_AFTER_S = 30


class Batches:
    """The batches. A token sees its own only.

    Args:
        working: What they work with.
        retention_s: How long one is kept after its end.
        max_kept_bytes: How much all that have ended may keep; the oldest go first.
        clock: Unix time.
    """

    def __init__(
        self,
        working: Working,
        *,
        retention_s: float,
        max_kept_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._working = working
        self._retention_s = retention_s
        self._max_kept_bytes = max_kept_bytes
        self._clock = clock
        self._batches: dict[tuple[int, str], Batch] = {}

    def find(self, record: RequestRecord, batch_id: str) -> Batch:
        """Return one.

        Raises:
            ApiError: 404.
        """
        batch = self._batches.get((record.token_number, batch_id))
        if batch is None:
            raise errors.batch_not_found(batch_id)
        return batch

    async def add(self, record: RequestRecord, batch_id: str | None, intake: Intake) -> Batch:
        """Return the batch of that id, made where there is none, with these rows in it and at work.

        Raises:
            ApiError: 409 where a row contradicts one of that batch, 429 when there are too many batches.
        """
        await self.make_room()
        key = record.token_number, batch_id or f"batch_{uuid.uuid4().hex}"
        batch = self._batches.get(key)
        if batch is None:
            running = sum(batch.running for batch in self._batches.values())
            if running >= MAX_RUNNING:
                raise errors.too_many_batches(running, RETRY_AFTER_S)
            batch = Batch(key[1], self._working, record.caller, record.token_number)
        batch.add(intake)
        self._batches[key] = batch
        return batch

    async def cancel(self, batch: Batch) -> None:
        """Stop one that runs; forget one that has ended."""
        if batch.running:
            await batch.cancel()
        else:
            await self._forget(batch)

    async def make_room(self) -> None:
        """Forget what has been kept long enough, and the oldest of what is too much."""
        ended = sorted(
            (batch for batch in self._batches.values() if not (batch.running or batch.read)),
            key=lambda batch: batch.ended_at or batch.created_at,
        )
        kept_bytes, now = sum(batch.size_bytes for batch in ended), self._clock()
        while ended:
            oldest = ended[0]
            over = now - (oldest.ended_at or oldest.created_at) >= self._retention_s
            if not over and kept_bytes <= self._max_kept_bytes and len(self._batches) < MAX_KEPT:
                return
            kept_bytes -= oldest.size_bytes
            await self._forget(ended.pop(0))

    async def keep_tidy(self) -> None:
        """Forget what is over, for as long as the server runs."""
        while True:
            await asyncio.sleep(min(60.0, self._retention_s))
            await self.make_room()

    async def close(self) -> None:
        """End all."""
        for batch in list(self._batches.values()):
            await self._forget(batch)

    async def _forget(self, batch: Batch) -> None:
        self._batches = {key: each for key, each in self._batches.items() if each is not batch}
        await batch.close()
