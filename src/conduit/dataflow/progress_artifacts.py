"""A map's progress in Prefect's UI: one artifact a map, written by a thread of its own and not too often.

No map waits for it, and none fails with it.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext

from conduit.dataflow import progress

logger = logging.getLogger(__name__)

_BETWEEN_S = 2.0


class _Writer:
    """The thread that talks to the server."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def soon(self, act: Callable[[], object]) -> None:
        """Has the thread do it."""
        self._waiting.put(act)
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                # A daemon: a server that is gone must not keep the process alive.
                self._thread = threading.Thread(target=self._run, name="conduit-progress", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float) -> None:
        """Waits until what was put before is done, or the time is over."""
        done = threading.Event()
        self.soon(done.set)
        done.wait(timeout_s)

    def _run(self) -> None:
        while True:
            try:
                self._waiting.get()()
            except Exception as error:
                logger.debug("the progress of a map did not reach the server: %s", type(error).__name__)


writer = _Writer()


class ProgressArtifact:
    """Watches one map of a flow run.

    Args:
        flow_run_id: The run's.
    """

    def __init__(self, flow_run_id: UUID) -> None:
        self._flow_run_id = flow_run_id
        self._context = contextvars.copy_context()  # Prefect's settings, which name the server
        self._artifact: UUID | None = None
        self._name, self._total = "", 0
        self._done = self._failed = 0
        self._written_at = time.monotonic()

    def started(self, name: str, total: int | None) -> None:
        self._name, self._total = name, total or 0

    def advanced(self, done: int, failed: int) -> None:
        self._done, self._failed = self._done + done, self._failed + failed
        if time.monotonic() - self._written_at >= _BETWEEN_S:
            self._write_soon()

    def ended(self) -> None:
        self._write_soon()

    def _write_soon(self) -> None:
        self._written_at = time.monotonic()
        ended, failed = self._done + self._failed, self._failed
        of = f" of {self._total}" if self._total else ""
        said = f"{self._name}: {ended}{of} items" + (f", {failed} failed" if failed else "")
        # Of how many is not known where a map takes its items as they come.
        share = round(100 * ended / max(self._total, ended, 1), 2)
        writer.soon(lambda: self._context.run(self._write, share, said))

    def _write(self, percent: float, description: str) -> None:
        with get_client(sync_client=True) as client:
            if self._artifact is not None:
                client.update_artifact(self._artifact, ArtifactUpdate(description=description, data=percent))
                return
            asked = ArtifactCreate(
                type="progress",
                key="conduit-" + (re.sub("[^a-z0-9]+", "-", self._name.lower()).strip("-") or "map"),
                flow_run_id=self._flow_run_id,
                description=description,
                data=percent,
            )
            self._artifact = client.create_artifact(asked).id


def _of_flow() -> progress.MapObserver | None:
    flow = FlowRunContext.get()
    return None if flow is None or flow.flow_run is None else ProgressArtifact(flow.flow_run.id)


def watch() -> None:
    """Has every map that begins in a flow from now on leave its progress there."""
    if _of_flow not in progress.observers:
        progress.observers.append(_of_flow)
