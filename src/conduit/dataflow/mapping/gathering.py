"""A map's results, put together as its batches end: in the items' order, or as a count where they stay on disk."""

from __future__ import annotations

import logging
import threading
from typing import Any

from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping import records
from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.job import ItemFailure, Job
from conduit.dataflow.mapping.outcome import Outcome, Tally, map_failed
from conduit.dataflow.mapping.stored import Counts, Keys, StoredResults
from conduit.errors import LedgerUnavailable, MapFailed
from conduit.store import LedgerRow

logger = logging.getLogger(__name__)

# Errors that a map whose results stay on disk keeps to raise them together.
_MOST_FAILURES = 1000


class Gathered:
    """What a map has come to so far.

    Attributes:
        stopped: Whether no further batch is to start.
    """

    def __init__(self, block: Callee, work: Job) -> None:
        self.stopped = False
        self._block, self._work = block, work
        self._keys = Keys() if work.stored else None
        self._values: list[Any] = [] if work.stored else [None] * (work.total or 0)
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._failures: dict[int, Exception] = {}
        self._sent = self._sent_failed = self._reused = self._reused_failed = 0

    def known(self, index: int, key: str, row: LedgerRow | None) -> bool:
        """Takes the record of an item, and says whether it stands for a call; see ``cutting``."""
        if self._keys is not None:
            self._keys.add(key)
        assert self._work.ledger is not None
        if row is None or not records.stands(self._work.ledger, row):
            return False
        if row.state == "failed":
            self._reuse(index, ItemFailure(index, records.failure(self._block, row)))
        elif self._work.stored:
            self._reuse(index, None)
        else:
            try:
                value = records.value(self._block, row)
            except ValueError as error:
                logger.warning(
                    "the record of item %d cannot be read, so it is called again: %s", index, error
                )
                return False
            self._reuse(index, value)
        return True

    def _reuse(self, index: int, result: Any) -> None:
        failed = isinstance(result, ItemFailure)
        with self._lock:
            self._reused, self._reused_failed = self._reused + 1, self._reused_failed + failed
            if not self._work.stored:
                self._values[index] = result
            if failed:
                self._fail({index: result.error})
        if self._work.progress is not None:
            self._work.progress.advanced(int(not failed), int(failed))

    def add(self, batch: Batch, outcome: Outcome) -> None:
        """Takes what a batch came to."""
        with self._lock:
            self._add(batch, outcome)
        if self._work.progress is not None and not batch.told and not isinstance(outcome, Exception):
            failed = _failed(outcome)
            self._work.progress.advanced(len(batch.items) - failed, failed)

    def _add(self, batch: Batch, outcome: Outcome) -> None:
        if isinstance(outcome, MapFailed):
            self._sent, self._sent_failed = self._sent + outcome.total, self._sent_failed + outcome.failed
            self._fail(outcome.failures)
        elif isinstance(outcome, Exception):
            # The first to come is the cause of the others.
            self._error = self._error or outcome
            self.stopped = True
        else:
            self._sent, self._sent_failed = (
                self._sent + len(batch.items),
                self._sent_failed + _failed(outcome),
            )
            if isinstance(outcome, list):
                for index, value in zip(batch.indexes, outcome, strict=True):
                    self._values[index] = value

    def _fail(self, failures: Any) -> None:
        self.stopped = self.stopped or self._work.errors == "raise"
        if self._work.collects:
            return
        for index, error in failures.items():
            if not self._work.stored or len(self._failures) < _MOST_FAILURES:
                self._failures[index] = error

    def results(self) -> Any:
        """All results, when every batch that was started has ended.

        Raises:
            MapFailed: With the failed items of all batches that ran.
            Exception: What ended a batch in another way.
        """
        self._say()
        if isinstance(self._error, LedgerUnavailable):
            raise self._kept(self._error) from self._error
        if self._error is not None:
            raise self._error
        failed, ended = self._sent_failed + self._reused_failed, self._sent + self._reused
        ledger = "" if self._work.ledger is None else self._work.ledger.name
        if failed and not self._work.collects:
            # How many there are is known, or all were taken; or else nobody knows.
            total = self._work.total if self.stopped else ended
            unrun = None if total is None else total - ended
            name = self._block.options.name
            raise map_failed(name, self._failures, failed, total, unrun, ledger or None)
        if self._keys is None:
            return self._values
        counts = Counts(ended, ended - failed, failed, self._reused)
        return StoredResults(self._block, ledger, self._keys, counts)

    def _say(self) -> None:
        if self._work.ledger is not None:
            logger.info(
                "%s.map under the ledger %r: %d items reused, %d sent, %d failed",
                self._block.options.name,
                self._work.ledger.name,
                self._reused,
                self._sent,
                self._sent_failed + self._reused_failed,
            )

    def _kept(self, error: LedgerUnavailable) -> LedgerUnavailable:
        """The same error, with how far the map came."""
        done = self._sent + self._reused
        of = "" if self._work.total is None else f" of {self._work.total}"
        return LedgerUnavailable(
            f"{error.message} The map ended early: {done}{of} items are on record, and some of further batches.",
            hint=f"{error.hint or ''} Then run the map again: it goes on from what is on record.".strip(),
            ledger=error.ledger,
            kept=done,
        )


def _failed(outcome: list[Any] | Tally) -> int:
    if isinstance(outcome, Tally):
        return len(outcome.failures)
    return sum(isinstance(result, ItemFailure) for result in outcome)
