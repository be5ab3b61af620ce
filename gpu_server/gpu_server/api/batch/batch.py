"""One batch: its rows, the workers that answer them, and the results, which any number of readers can follow.

Workers are as many as keep the engines full and wait in the batch class like everybody else there. A row that finds
the queue full, or loses its engine, is tried again; any other failure is its result. No connection is part of this:
the batch goes on when its caller's breaks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from gpu_server import errors
from gpu_server.access.record import CALLER_LEFT, RequestRecord
from gpu_server.api.batch.intake import Intake, KnownRow
from gpu_server.api.batch.lines import answer_line, error_line
from gpu_server.api.batch.spool import Spool

logger = logging.getLogger(__name__)

TRIES = 4
"""How often a row may lose its engine, or not find one."""
ROUTE = "/v1/batch"
_AGAIN = frozenset({"model_not_ready", "engine_lost", "schema_check_busy"})

Answer = Callable[[bytes, RequestRecord], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Working:
    """What every batch works with.

    Attributes:
        answers: The routes that rows may name.
        workers: Returns how many rows are worked on at a time.
        ended: Told of every row's record.
        busy: Marks the time in which a batch works.
        max_result_bytes: Results beyond this become errors.
    """

    answers: Mapping[str, Answer]
    workers: Callable[[], int]
    ended: Callable[[RequestRecord], None]
    busy: Callable[[], AbstractContextManager[None]]
    max_result_bytes: int


class Batch:
    """One batch. Lives on one event loop.

    Args:
        batch_id: The caller's name of it, or one made for it.
        working: What it works with.
        caller: Who asks, for fairness.
        token_number: Which token it came with.
    """

    def __init__(self, batch_id: str, working: Working, caller: str, token_number: int) -> None:
        self.id = batch_id
        self.created_at = int(time.time())
        self.ended_at: int | None = None
        self.cancelled = False
        self._working = working
        self._caller = caller
        self._token_number = token_number
        self._rows: dict[str, KnownRow] = {}
        self._contents = Spool()
        self._left: deque[KnownRow] = deque()
        self._results = Spool()
        self._failed = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._busy = ExitStack()
        self._readers = 0
        self._closing = False

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps on disk."""
        return self._contents.size_bytes + self._results.size_bytes

    @property
    def running(self) -> bool:
        """Whether rows are worked on."""
        return bool(self._workers)

    @property
    def read(self) -> bool:
        """Whether someone reads its results."""
        return bool(self._readers)

    def describe(self) -> dict[str, Any]:
        """Return its state in numbers."""
        return {
            "id": self.id,
            "object": "batch",
            "status": self._status(),
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            "results": len(self._results),
            "request_counts": {
                "total": len(self._rows),
                "completed": len(self._results) - self._failed,
                "failed": self._failed,
            },
        }

    def _status(self) -> str:
        if self.running:
            return "in_progress"
        if not self._left:
            return "completed"
        return "cancelled" if self.cancelled else "failed"

    def add(self, intake: Intake) -> None:
        """Take the rows that are not known yet, and work on all that have no result.

        Raises:
            ApiError: 409, when a known row asks for something else; then none is taken.
        """
        for key, row in intake.rows.items():
            known = self._rows.get(key)
            if known is not None and known.digest != row.digest:
                raise errors.batch_differs(key)
        if len(self._rows.keys() | intake.rows.keys()) > intake.max_rows:
            raise errors.too_many_rows(intake.max_rows)
        for key, row in intake.rows.items():
            if key not in self._rows:
                number = self._contents.add(intake.spool.read(row.number))
                kept = KnownRow(row.digest, row.custom_id, row.url, number)
                self._rows[key] = kept
                self._left.append(kept)
        self._work()

    async def results(self, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the results' lines from that number on, those that are there and those to come, to the end."""
        self._readers += 1
        try:
            while True:
                changed, running = self._changed, self.running
                while after < len(self._results):
                    lines, after = self._results.read_from(after)
                    yield lines
                if not running:
                    return
                await changed.wait()
        finally:
            self._readers -= 1
            self._give_back()

    async def cancel(self) -> None:
        """Take its rows out of the engines; their results stay, and it can be gone on with."""
        self.cancelled = True
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers)

    async def close(self) -> None:
        """End it and give its space back, once nobody reads it any more."""
        await self.cancel()
        self._closing = True
        self._give_back()

    def _give_back(self) -> None:
        if self._closing and not self._readers:
            self._contents.close()
            self._results.close()

    def _work(self) -> None:
        if not self._left:
            self.ended_at = self.ended_at or int(time.time())
            return
        self.cancelled, self.ended_at = False, None
        if not self._workers:
            self._busy.enter_context(self._working.busy())
        while len(self._workers) < min(self._working.workers(), len(self._workers) + len(self._left)):
            worker = asyncio.create_task(self._answer_rows(), name=f"batch {self.id}")
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and worker.exception() is not None:
            logger.error("a worker of batch %s broke", self.id, exc_info=worker.exception())
        if not self._workers:
            self.ended_at = int(time.time())
            self._busy.close()
            self._tell()

    def _tell(self) -> None:
        """Wake those who wait for a result."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _answer_rows(self) -> None:
        while self._left:
            row = self._left.popleft()
            try:
                line, failed = await self._answer(row)
            except BaseException:
                self._left.appendleft(row)
                raise
            self._failed += failed
            self._results.add(line)
            self._tell()

    async def _answer(self, row: KnownRow) -> tuple[bytes, bool]:
        """Return a row's line, and whether it failed."""
        content = self._contents.read(row.number)
        if row.url is None:
            return error_line(row.custom_id, json.loads(content)), True
        if self._results.size_bytes > self._working.max_result_bytes:
            most = f"The batch has over {self._working.max_result_bytes} bytes of results already."
            return error_line(row.custom_id, {"code": "batch_results_too_large", "message": most}), True
        tries = TRIES
        while True:
            record = RequestRecord(
                id=f"{self.id}-{row.number}",
                method="POST",
                route=ROUTE,
                caller=self._caller,
                token_number=self._token_number,
                batch=True,
            )
            try:
                body = await self._recorded(record, self._working.answers[row.url](content, record))
            except errors.ApiError as error:
                tries -= error.code in _AGAIN
                if error.code == "queue_full" or (error.code in _AGAIN and tries):
                    await asyncio.sleep(float(error.headers.get("retry-after", 1)))
                    continue
                return answer_line(row.custom_id, record.id, error.status, error.body()), True
            return answer_line(row.custom_id, record.id, 200, body), False

    async def _recorded(self, record: RequestRecord, answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Wait for an answer; its record is closed as the gate closes a request's."""
        record.status = CALLER_LEFT
        try:
            body = await answer
            record.status = 200
        except errors.ApiError as error:
            record.status, record.code = error.status, error.code
            raise
        except Exception as error:
            logger.exception("row %s broke", record.id)
            broke = errors.internal()
            record.status, record.code = broke.status, broke.code
            raise broke from error
        finally:
            record.total_s = record.elapsed_s
            self._working.ended(record)
            record.log()
        return body
