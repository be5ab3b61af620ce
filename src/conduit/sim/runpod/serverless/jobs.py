"""Jobs of an endpoint: submitted, taken by a worker, answered piece by piece."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

JobStatus = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]
_KEPT = 1000


@dataclass
class Job:
    """One job; times are unix seconds.

    Attributes:
        worker: Who took it.
        parts: What was streamed so far.
        seen: How many of the parts a reader of the stream has had.
        retried: Its worker died, and it was queued again.
    """

    input: Any
    id: str = field(default_factory=lambda: f"{uuid.uuid4()}-u1")
    status: JobStatus = "IN_QUEUE"
    submitted_at: float = field(default_factory=time.time)
    taken_at: float | None = None
    ended_at: float | None = None
    worker: str | None = None
    output: Any = None
    error: Any = None
    parts: list[Any] = field(default_factory=list)
    seen: int = 0
    retried: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.ended_at is not None

    def add(self, part: Any) -> None:
        """One more part of its answer."""
        self.parts.append(part)
        self._tell()

    def end(self, status: JobStatus, *, output: Any = None, error: Any = None) -> None:
        """Its last word; a second one changes nothing."""
        if not self.ended:
            self.status, self.output, self.error, self.ended_at = status, output, error, time.time()
            self._tell()

    async def wait(self, seconds: float | None = None) -> None:
        """Returns when it has ended, or after that time."""

        async def until_ended() -> None:
            while not self.ended:
                await self.changed.wait()

        try:
            await asyncio.wait_for(until_ended(), seconds)
        except TimeoutError:
            return

    async def stream(self) -> AsyncIterator[Any]:
        """Its parts, those of the past first, until it ends."""
        sent = 0
        while True:
            while sent < len(self.parts):
                yield self.parts[sent]
                sent += 1
            if self.ended:
                return
            await self.changed.wait()

    def document(self) -> dict[str, Any]:
        """As its status is shown."""
        shown: dict[str, Any] = {"id": self.id, "status": self.status}
        if self.taken_at is not None:
            shown["delayTime"] = int((self.taken_at - self.submitted_at) * 1000)
            shown["workerId"] = self.worker
        if self.taken_at is not None and self.ended_at is not None:
            shown["executionTime"] = int((self.ended_at - self.taken_at) * 1000)
        if self.output is not None:
            shown["output"] = self.output
        if self.error is not None:
            shown["error"] = self.error
        return shown

    def _tell(self) -> None:
        before, self.changed = self.changed, asyncio.Event()
        before.set()


class Jobs:
    """All jobs of one endpoint."""

    def __init__(self) -> None:
        self._all: dict[str, Job] = {}
        self._queue: list[Job] = []
        self._added = asyncio.Event()

    def submit(self, given: Any) -> Job:
        """Queues one."""
        job = Job(given)
        self._all[job.id] = job
        self._enqueue(job)
        if len(self._all) > _KEPT:
            for old in [known for known, each in self._all.items() if each.ended][: len(self._all) - _KEPT]:
                del self._all[old]
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        return self._all.get(job_id)

    def queued(self) -> list[Job]:
        """Those that nobody took, oldest first."""
        self._queue = [job for job in self._queue if not job.ended]
        return list(self._queue)

    def running(self, worker: str | None = None) -> list[Job]:
        """Those in progress, of one worker or all."""
        return [j for j in self._all.values() if j.status == "IN_PROGRESS" and worker in (None, j.worker)]

    def count(self, status: JobStatus) -> int:
        """How many are in that state."""
        return sum(job.status == status for job in self._all.values())

    async def take(self, worker: str, most: int, seconds: float) -> list[Job]:
        """Hands out what is queued, and waits that long for the first."""
        if not self.queued():
            try:
                await asyncio.wait_for(self._added.wait(), seconds)
            except TimeoutError:
                return []
        taken = self.queued()[:most]
        self._queue = self._queue[len(taken) :]
        for job in taken:
            job.status, job.worker, job.taken_at = "IN_PROGRESS", worker, time.time()
        return taken

    def lose(self, worker: str) -> None:
        """That worker is gone: what it had is queued again, once; what was streamed in part fails."""
        for job in self.running(worker):
            if job.retried or job.parts:
                job.end("FAILED", error=f"worker {worker} was lost")
            else:
                job.retried, job.status, job.worker, job.taken_at = True, "IN_QUEUE", None, None
                self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job)
        before, self._added = self._added, asyncio.Event()
        before.set()
