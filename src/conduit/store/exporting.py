"""Rows as plain values for other programs: which columns a table gives them, and the rows one after the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import JSON, Column, Connection, Double, Integer, Table, select

from conduit.store import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

Exported = Literal["calls", "model_calls", "flow_runs", "ledger"]
Kind = Literal["text", "integer", "number", "time"]

_AT_A_TIME = 1000
_TABLES: dict[Exported, Table] = {
    "calls": tables.block_call,
    "model_calls": tables.model_call,
    "flow_runs": tables.flow_run,
    "ledger": tables.ledger_row,
}


def columns(table: Exported) -> dict[str, Kind]:
    """Names and kinds; a ``time`` is in Unix seconds, and JSON a ``text``."""
    return {column.name: _kind(column) for column in _TABLES[table].c}


def stream(
    connection: Connection, project: str, table: Exported, *, ledger: str | None, since: float | None
) -> Iterator[dict[str, Any]]:
    """The project's rows, oldest first; no more than some are held at a time."""
    rows = _TABLES[table].c
    at = rows["finished_at" if table == "ledger" else "started_at"]
    query = select(_TABLES[table]).where(rows.project == project).order_by(at)
    if table == "ledger":
        query = query.where(rows.ledger == ledger).order_by(None).order_by(rows["item"], rows.key)
    if since is not None:
        query = query.where(at >= since)
    documents = {column.name for column in rows if isinstance(column.type, JSON)}
    for row in connection.execution_options(yield_per=_AT_A_TIME).execute(query):
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for name in documents:
            if values[name] is not None:
                values[name] = json.dumps(values[name])
        if table == "ledger" and values["result"] is not None:
            values["result"] = values["result"].decode()  # canonical JSON
        yield values


def _kind(column: Column[Any]) -> Kind:
    if isinstance(column.type, Double):
        return "time" if column.name.endswith("_at") else "number"
    return "integer" if isinstance(column.type, Integer) else "text"
