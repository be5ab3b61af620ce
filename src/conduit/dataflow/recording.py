"""Rows of the run log for the calls that flows make: one a call, written when the call has ended for good.

Of a map each item is a call. Outside flows nothing is written: a plain call is to cost no more than its validation.
Writing never holds up a call and never fails it, for the store queues rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from conduit import settings, store
from conduit.dataflow.definition import Callee
from conduit.dataflow.identity import block_name
from conduit.errors import ConduitError
from conduit.lmlite import block_call_id
from conduit.store import BlockCall, CallState


class Log:
    """The run log, as the calls of one flow run write it.

    Raises:
        ConduitError: The settings do not parse, or the records cannot be opened.
    """

    def __init__(self, flow_run_id: str) -> None:
        given = settings.load()
        self.flow_run_id = flow_run_id
        self.records = store.open_store(given)
        self._values_kept = store.values_kept(given)
        self._patterns = given.run_log_redact

    def kept(self, value: Any) -> Any:
        """What of a value is stored."""
        return store.redacted(value, self._patterns) if self._values_kept and value is not None else None


class Record:
    """One call on its way to its row.

    Args:
        log: Where the row goes; without one none is written.
        block: What is called.
        inputs: Its arguments.
        call_id: Its own; drawn by default.
        task_run_id: The task that it runs in.
        map_id: The same for all items of one map.
        item: Index in the map.
        started_at: When it was tried first, in Unix seconds; now by default.
        attempts: How often it was tried before.

    Attributes:
        id: Of the call.
        attempts: How often it was tried; whoever tries counts.
        cached: Whether its value came from the cache.
        inputs_hash: Of block and arguments, where somebody has reckoned it.
    """

    def __init__(
        self,
        log: Log | None,
        block: Callee,
        inputs: Any,
        *,
        call_id: str | None = None,
        task_run_id: str | None = None,
        map_id: str | None = None,
        item: int | None = None,
        started_at: float | None = None,
        attempts: int = 0,
    ) -> None:
        self._log, self._block, self._inputs = log, block, inputs
        self._task_run_id, self._map_id, self._item = task_run_id, map_id, item
        self._started_at = time.time() if started_at is None else started_at
        self.id = call_id or uuid4().hex
        self.attempts = attempts
        self.cached = False
        self.inputs_hash: str | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Lets model calls within name this call as theirs."""
        token = block_call_id.set(self.id)
        try:
            yield
        finally:
            block_call_id.reset(token)

    def returned(self, value: Any) -> None:
        """Writes that the call gave a value."""
        self._write(CallState.CACHED if self.cached else CallState.DONE, output=value)

    def raised(self, error: BaseException) -> None:
        """Writes that the call failed, and will not be tried again."""
        self._write(CallState.FAILED, error=error)

    def _write(self, state: CallState, *, output: Any = None, error: BaseException | None = None) -> None:
        log = self._log
        if log is None:
            return
        log.records.log_block_call(
            BlockCall(
                id=self.id,
                block=block_name(self._block),
                started_at=self._started_at,
                duration_s=max(0.0, time.time() - self._started_at),
                state=state,
                flow_run_id=log.flow_run_id,
                task_run_id=self._task_run_id,
                map_id=self._map_id,
                item=self._item,
                attempts=max(1, self.attempts),
                inputs_hash=self.inputs_hash,
                error=None if error is None else _code(error),
                error_text=None if error is None else log.kept(str(error)),
                inputs=log.kept(self._inputs),
                output=log.kept(output),
            )
        )


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, ConduitError) else type(error).__name__
