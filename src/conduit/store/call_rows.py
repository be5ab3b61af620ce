"""Rows of the run log: written and found inside a transaction of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from conduit.store import tables
from conduit.store.base import Attempt, ModelCall

if TYPE_CHECKING:
    from collections.abc import Sequence

_CALL = tables.model_call.c


def add(connection: Connection, project: str, calls: Sequence[ModelCall]) -> None:
    """Inserts rows."""
    connection.execute(insert(tables.model_call), [_row(call, project) for call in calls])


def find(
    connection: Connection,
    *,
    limit: int,
    block: str | None,
    flow_run_id: str | None,
    deployment_key: str | None,
) -> list[ModelCall]:
    """Rows that fit every given condition, newest first."""
    query = select(*(column for column in _CALL if column.name not in ("id", "project")))
    for column, value in (
        (_CALL.block, block),
        (_CALL.flow_run_id, flow_run_id),
        (_CALL.deployment_key, deployment_key),
    ):
        if value is not None:
            query = query.where(column == value)
    query = query.order_by(_CALL.started_at.desc(), _CALL.id.desc()).limit(limit)
    return [_call(dict(row._mapping)) for row in connection.execute(query)]  # noqa: SLF001 - public


def _row(call: ModelCall, project: str) -> dict[str, Any]:
    attempts = [vars(attempt) for attempt in call.attempt_log]
    return vars(call) | {"attempt_log": attempts, "project": project}


def _call(row: dict[str, Any]) -> ModelCall:
    # Rows that an older Conduit wrote have no attempts.
    attempts = [Attempt(**each | {"repairs": tuple(each["repairs"])}) for each in row["attempt_log"] or ()]
    return ModelCall(**row | {"attempt_log": tuple(attempts)})
