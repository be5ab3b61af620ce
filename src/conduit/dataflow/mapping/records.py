"""How an item ended, as a ledger's record: made of a value or an error, and read again."""

from __future__ import annotations

import time
from typing import Any

from conduit.dataflow import identity
from conduit.dataflow.definition import Callee
from conduit.dataflow.inside import current_flow_run_id
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping.batch import Batch
from conduit.errors import ConduitError, RecordedFailure
from conduit.store import LedgerRow

# What failed was not the item: no machine, no money, a server that was gone. It is called again in any case.
_OF_THE_SURROUNDINGS = (
    "block.flow_server",
    "compute",
    "missing_dependency",
    "model.deployment_failed",
    "model.deployment_stopped",
    "model.no_replica",
    "model.not_authorized",
    "model.overloaded",
    "model.replica_lost",
    "store",
)


def row(
    block: Callee,
    batch: Batch,
    place: int,
    attempts: int,
    *,
    value: Any = None,
    error: Exception | None = None,
) -> LedgerRow:
    """The record of an item that has ended.

    Raises:
        NotCacheable: Its value cannot be kept.
    """
    assert batch.keys is not None
    assert batch.job.ledger is not None
    of, run = identity.identity(block), current_flow_run_id()
    return LedgerRow(
        ledger=batch.job.ledger.name,
        key=batch.keys[place],
        item=batch.indexes[place],
        state="done" if error is None else "failed",
        result=identity.dump(block, value) if error is None else None,
        error=None if error is None else _code(error),
        error_text=None if error is None else str(getattr(error, "message", error)),
        block=of.block,
        version=of.version,
        schema_hash=of.schema_hash,
        model_id=of.model_id,
        revision=of.revision,
        engine=of.engine,
        sampling=of.sampling,
        attempts=attempts,
        flow_run_id=None if run is None else str(run),
        finished_at=time.time(),
    )


def stands(ledger: Ledger, found: LedgerRow) -> bool:
    """Whether a record is taken in place of a call."""
    if found.state == "done":
        return True
    code = found.error or ""
    passing = any(code == kind or code.startswith(f"{kind}.") for kind in _OF_THE_SURROUNDINGS)
    return not (ledger.retry_failed or passing)


def value(block: Callee, found: LedgerRow) -> Any:
    """The value of a record, validated.

    Raises:
        ValueError: The record holds none.
    """
    if found.result is None:
        raise ValueError(f"the record of item {found.item} holds no value")
    return identity.load(block, found.result)


def known(block: Callee, batch: Batch) -> dict[int, Any]:
    """By place, what is done of a batch that came to another process: it may have begun in one that died there."""
    if not batch.moved or batch.job.book is None or batch.keys is None:
        return {}
    rows = batch.job.book.lookup(batch.keys)
    done = {at: rows[key] for at, key in enumerate(batch.keys) if key in rows and rows[key].state == "done"}
    return {at: None if batch.job.stored else value(block, found) for at, found in done.items()}


def failure(block: Callee, found: LedgerRow) -> RecordedFailure:
    """The error of a failed record."""
    return RecordedFailure(
        f"{found.error}: {found.error_text}",
        hint=f"It is on record in the ledger {found.ledger!r}; Ledger({found.ledger!r}, retry_failed=True) has it "
        "called again.",
        block=block.options.name,
        error_code=found.error or "",
        ledger=found.ledger,
    )


def _code(error: Exception) -> str:
    return error.code if isinstance(error, ConduitError) else type(error).__name__
