"""What a batch comes to, and a map of its batches: results, failures among them, or one error for all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.job import ItemFailure
from conduit.errors import MapFailed

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """What a batch gives whose results stay in a ledger."""

    done: int
    failures: dict[int, Exception] = field(default_factory=dict)


# The results of a batch, or what became of those that are in a ledger.
Results = list[Any] | Tally
# A batch's results, or what ended it.
Outcome = Results | Exception


def settled(block: Callee, batch: Batch, results: list[Any]) -> Results:
    """What a batch gives when all of its items have ended.

    Raises:
        MapFailed: Items failed and the job does not collect.
    """
    failures = {f.index: f.error for f in results if isinstance(f, ItemFailure)}
    if failures and not batch.job.collects:
        raise map_failed(block.options.name, failures, len(failures), len(results), 0)
    if failures:
        logger.warning(
            "%s%s: %d of %d items failed", block.options.name, batch.label, len(failures), len(results)
        )
    return Tally(len(results) - len(failures), failures) if batch.job.stored else results


def map_failed(
    name: str,
    failures: dict[int, Exception],
    failed: int,
    total: int | None,
    unrun: int | None,
    ledger: str | None = None,
) -> MapFailed:
    """The error of a map or a batch.

    Args:
        name: The block's.
        failures: The failed items' errors by index, or the first of them.
        failed: How many there are.
        total: Items of the map; ``None`` where nobody took them all.
        unrun: How many of them were not started.
        ledger: Where those that are done are on record.
    """
    index, error = min(failures.items())
    of = f"{failed} of {total} items" if total is not None else f"{failed} items"
    not_run = (
        f"; {unrun} were not started" if unrun else "" if unrun is not None else "; the rest was not started"
    )
    hint = (
        'errors="collect" keeps the other results and puts an ItemFailure in the place of each failed item.'
    )
    if ledger is not None:
        hint = (
            f"What is done is on record: a map under the same ledger goes on from there, and with "
            f"Ledger({ledger!r}, retry_failed=True) calls the failed items again."
        )
    made = MapFailed(
        f"{of} of {name}.map failed{not_run}; the first, item {index}, with "
        f"{type(error).__name__}: {getattr(error, 'message', error)}",
        hint=hint,
        block=name,
        failures=dict(sorted(failures.items())),
        failed=failed,
        total=failed if total is None else total,
    )
    made.__cause__ = error
    return made
