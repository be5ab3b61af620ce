"""Rows of the run log removed, when their time is over or their run is to be forgotten; ledgers never by time.

What model calls cost outlives their rows, in ``past_calls``, so that a deployment's sums stay right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from conduit.store import tables
from conduit.store.database import upsert

_BLOCK = tables.block_call.c
_MODEL = tables.model_call.c
_RUN = tables.flow_run.c
_DAY_S = 24 * 3600.0


def remove_old(connection: Connection, project: str, *, before: float, limit: int) -> tuple[int, ...]:
    """Removes rows that began before that time, no more than ``limit`` of a table; how many of each table."""
    removed = [_remove_model_calls(connection, _some(_MODEL.id, _MODEL, project, before, limit))]
    for table, key in ((tables.block_call, _BLOCK.id), (tables.flow_run, _RUN.id)):
        some = _some(key, table.c, project, before, limit)
        removed.append(connection.execute(delete(table).where(some)).rowcount)
    return tuple(removed)


def remove_run(connection: Connection, project: str, flow_run_id: str) -> int:
    """Removes a flow run with its calls; how many rows there were."""
    removed = _remove_model_calls(
        connection, (_MODEL.flow_run_id == flow_run_id) & (_MODEL.project == project)
    )
    for table, column in ((tables.block_call, _BLOCK.flow_run_id), (tables.flow_run, _RUN.id)):
        its = (column == flow_run_id) & (table.c.project == project)
        removed += connection.execute(delete(table).where(its)).rowcount
    return removed


def _some(
    key: ColumnElement[Any], columns: Any, project: str, before: float, limit: int
) -> ColumnElement[bool]:
    old = select(key).where(columns.project == project, columns.started_at < before)
    return key.in_(old.order_by(columns.started_at).limit(limit))


def _remove_model_calls(connection: Connection, condition: ColumnElement[bool]) -> int:
    # A row is returned to one transaction alone, so no call is added up twice.
    removed = connection.execute(
        delete(tables.model_call)
        .where(condition)
        .returning(_MODEL.deployment_key, _MODEL.started_at, _MODEL.cost_usd)
    ).all()
    _add_to_past(connection, [tuple(row) for row in removed])
    return len(removed)


def _add_to_past(connection: Connection, removed: Sequence[tuple[Any, ...]]) -> None:
    calls: defaultdict[tuple[str, float], int] = defaultdict(int)
    usd: defaultdict[tuple[str, float], float] = defaultdict(float)
    for key, started_at, cost_usd in removed:
        if key is not None:
            day = key, started_at // _DAY_S * _DAY_S
            calls[day] += 1
            usd[day] += cost_usd or 0.0
    rows = [
        {"deployment_key": day[0], "day": day[1], "calls": calls[day], "cost_usd": usd[day]}
        for day in sorted(calls)
    ]
    if rows:
        connection.execute(upsert(tables.past_calls, adding=("calls", "cost_usd")), rows)
