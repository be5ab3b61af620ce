"""Rows of ledgers: written, found and counted inside a transaction of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, func, select

from conduit.store import tables
from conduit.store.database import upsert
from conduit.store.ledgers import LedgerCounts, LedgerRow, LedgerState, LedgerSummary
from conduit.store.values import storable

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW = tables.ledger_row.c
_COLUMNS = tuple(column for column in _ROW if column.name != "project")
_KEYS_AT_ONCE = 500
"""Databases bound how many values a statement may name."""

_SUMS = (
    func.sum(case((_ROW.state == "done", 1), else_=0)),
    func.sum(case((_ROW.state == "failed", 1), else_=0)),
    func.coalesce(func.sum(func.length(_ROW.result)), 0),
)


def put(connection: Connection, project: str, rows: Sequence[LedgerRow]) -> None:
    """Writes rows; one of the same key is written over."""
    # In one order: of two transactions that each waited for a row of the other, one would fail.
    values = [_values(row, project) for row in sorted(rows, key=lambda row: (row.ledger, row.key))]
    if values:
        connection.execute(upsert(tables.ledger_row), values)


def lookup(connection: Connection, project: str, ledger: str, keys: Sequence[str]) -> dict[str, LedgerRow]:
    """The rows of these keys, by key."""
    found: dict[str, LedgerRow] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        query = select(*_COLUMNS).where(_of(project, ledger), _ROW.key.in_(some))
        found |= {row.key: _row(row) for row in connection.execute(query)}
    return found


def find(
    connection: Connection,
    project: str,
    ledger: str,
    *,
    state: LedgerState | None,
    after: int | None,
    limit: int,
) -> list[LedgerRow]:
    """Rows by item; those of the last item come together, be they more than the limit."""
    query = select(*_COLUMNS).where(_of(project, ledger)).order_by(_ROW.item, _ROW.key)
    if state is not None:
        query = query.where(_ROW.state == state)
    first = query if after is None else query.where(_ROW.item > after)
    rows = connection.execute(first.limit(limit)).all()
    if rows and len(rows) == limit:
        last = rows[-1]
        rows = [*rows, *connection.execute(query.where(_ROW.item == last.item, _ROW.key > last.key))]
    return [_row(row) for row in rows]


def failures(connection: Connection, project: str, *, limit: int, flow_run_id: str | None) -> list[LedgerRow]:
    """Failed rows of all ledgers, the last ones first."""
    query = select(*_COLUMNS).where(_ROW.project == project, _ROW.state == "failed")
    if flow_run_id is not None:
        query = query.where(_ROW.flow_run_id == flow_run_id)
    query = query.order_by(_ROW.finished_at.desc(), _ROW.ledger, _ROW.item).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def counts(connection: Connection, project: str, ledger: str) -> LedgerCounts:
    """The sums of one ledger."""
    done, failed, size = connection.execute(select(*_SUMS).where(_of(project, ledger))).one()
    return LedgerCounts(int(done or 0), int(failed or 0), int(size))


def summaries(connection: Connection, project: str) -> list[LedgerSummary]:
    """The project's ledgers, the one that was written last first."""
    mine = _ROW.project == project
    blocks: dict[str, list[str]] = {}
    for ledger, block in connection.execute(
        select(_ROW.ledger, _ROW.block).where(mine).distinct().order_by(_ROW.block)
    ):
        blocks.setdefault(ledger, []).append(block)
    last = func.max(_ROW.finished_at)
    query = select(_ROW.ledger, *_SUMS, last).where(mine).group_by(_ROW.ledger).order_by(last.desc())
    return [
        LedgerSummary(name, int(done), int(failed), int(size), tuple(blocks[name]), last_at)
        for name, done, failed, size, last_at in connection.execute(query)
    ]


def remove(connection: Connection, project: str, ledger: str) -> int:
    """Removes a ledger; how many rows it had."""
    return connection.execute(delete(tables.ledger_row).where(_of(project, ledger))).rowcount


def _of(project: str, ledger: str) -> ColumnElement[bool]:
    return and_(_ROW.project == project, _ROW.ledger == ledger)


def _values(row: LedgerRow, project: str) -> dict[str, Any]:
    sampling = None if row.sampling is None else dict(row.sampling)
    return vars(row) | {"project": project, "error_text": storable(row.error_text), "sampling": sampling}


def _row(row: Row[Any]) -> LedgerRow:
    return LedgerRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
