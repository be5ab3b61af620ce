"""A ledger's value types: each item of a map on a ledger has one row that tells how it ended. No database here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LedgerState = Literal["done", "failed"]


@dataclass(frozen=True)
class LedgerRow:
    """A row of ``ledger_row``: how one item ended, with what decided it.

    Attributes:
        ledger: Name that the user gave.
        key: ``<call_key>:<n>``, where n counts equal items from 0.
        item: Index in the map that ended it.
        result: The value as canonical JSON; None of a failed one.
        error: The error's ``code``.
        error_text: The message: a ledger is asked for by name and keeps values, so it keeps messages.
        finished_at: Unix seconds.
    """

    ledger: str
    key: str
    item: int
    state: LedgerState
    result: bytes | None
    error: str | None
    error_text: str | None
    block: str
    version: str
    schema_hash: str | None
    model_id: str | None
    revision: str | None
    engine: str | None
    sampling: Mapping[str, Any] | None
    attempts: int
    flow_run_id: str | None
    finished_at: float


@dataclass(frozen=True)
class LedgerCounts:
    """How many rows a ledger has, and how long its results are together."""

    done: int = 0
    failed: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class LedgerSummary:
    """A ledger of the project.

    Attributes:
        blocks: Whose items stand in it.
        last_at: When its last item ended.
    """

    name: str
    done: int
    failed: int
    bytes: int
    blocks: tuple[str, ...]
    last_at: float
