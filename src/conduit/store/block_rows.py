"""Rows of block calls and flow runs: written and found inside a transaction of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, insert, select

from conduit.store import tables
from conduit.store.database import upsert
from conduit.store.runs import BlockCall, CallState, FlowRun
from conduit.store.values import storable

if TYPE_CHECKING:
    from collections.abc import Sequence

_CALL = tables.block_call.c
_RUN = tables.flow_run.c
_CALL_COLUMNS = tuple(column for column in _CALL if column.name != "project")
_RUN_COLUMNS = tuple(column for column in _RUN if column.name != "project")


def add_calls(connection: Connection, project: str, calls: Sequence[BlockCall]) -> None:
    """Inserts rows of block calls."""
    connection.execute(
        insert(tables.block_call),
        [vars(call) | {"project": project, "error_text": storable(call.error_text)} for call in calls],
    )


def put_runs(connection: Connection, project: str, runs: Sequence[FlowRun]) -> None:
    """Writes rows of flow runs; of several of one id the last one stays."""
    values = [vars(run) | {"project": project} for run in {run.id: run for run in runs}.values()]
    connection.execute(upsert(tables.flow_run), sorted(values, key=lambda value: str(value["id"])))


def find_calls(
    connection: Connection,
    project: str,
    *,
    limit: int,
    flow_run_id: str | None,
    block: str | None,
    state: CallState | None,
    map_id: str | None,
    slowest: bool,
) -> list[BlockCall]:
    """Block calls that fit every given condition, newest or slowest first."""
    query = select(*_CALL_COLUMNS).where(_CALL.project == project)
    for column, value in (
        (_CALL.flow_run_id, flow_run_id),
        (_CALL.block, block),
        (_CALL.state, state),
        (_CALL.map_id, map_id),
    ):
        if value is not None:
            query = query.where(column == value)
    order = _CALL.duration_s if slowest else _CALL.started_at
    query = query.order_by(order.desc(), _CALL.item.desc(), _CALL.id).limit(limit)
    return [_call(row) for row in connection.execute(query)]


def find_runs(connection: Connection, project: str, *, limit: int) -> list[FlowRun]:
    """The project's flow runs, newest first."""
    query = select(*_RUN_COLUMNS).where(_RUN.project == project)
    return _runs(connection, query.order_by(_RUN.started_at.desc(), _RUN.id).limit(limit))


def find_runs_named(connection: Connection, project: str, text: str) -> list[FlowRun]:
    """The project's flow runs whose id begins so, or that are named so, newest first."""
    named = _RUN.id.startswith(text, autoescape=True) | (_RUN.name == text)
    query = select(*_RUN_COLUMNS).where(_RUN.project == project, named)
    return _runs(connection, query.order_by(_RUN.started_at.desc(), _RUN.id))


def _runs(connection: Connection, query: Any) -> list[FlowRun]:
    return [FlowRun(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public


def _call(row: Row[Any]) -> BlockCall:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return BlockCall(**values | {"state": CallState(values["state"])})
