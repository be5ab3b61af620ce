"""Rows of deployments: put, found, moved and removed inside a transaction of the caller's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from conduit.errors import IllegalTransition
from conduit.store import node_life, tables
from conduit.store.base import DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPLOYMENT = tables.deployment.c


def put(
    connection: Connection,
    key: str,
    *,
    project: str,
    owner: str,
    provider: str,
    name: str | None,
    spec: Mapping[str, Any],
) -> DeploymentRecord:
    """Inserts a deployment that is about to start; one that is there is returned as it is."""
    record = get(connection, key)
    if record is not None:
        return record
    now = time.time()
    record = DeploymentRecord(
        key=key,
        project=project,
        owner=owner,
        provider=str(provider),
        name=name,
        spec=dict(spec),
        state=DeploymentState.STARTING,
        reason=None,
        created_at=now,
        updated_at=now,
    )
    connection.execute(insert(tables.deployment).values(**vars(record) | {"state": record.state.value}))
    return record


def get(connection: Connection, key: str) -> DeploymentRecord | None:
    """The deployment's row."""
    row = connection.execute(select(tables.deployment).where(_DEPLOYMENT.key == key)).one_or_none()
    return None if row is None else _record(row)


def find(connection: Connection, *, project: str | None, owner: str | None) -> list[DeploymentRecord]:
    """Rows that fit both conditions, oldest first."""
    query = select(tables.deployment).order_by(_DEPLOYMENT.created_at, _DEPLOYMENT.key)
    if project is not None:
        query = query.where(_DEPLOYMENT.project == project)
    if owner is not None:
        query = query.where(_DEPLOYMENT.owner == owner)
    return [_record(row) for row in connection.execute(query)]


def set_state(
    connection: Connection, key: str, state: DeploymentState, *, reason: str | None
) -> DeploymentRecord:
    """Sets what became of a deployment.

    Raises:
        IllegalTransition: There is no such deployment.
    """
    values = {"state": state.value, "reason": reason, "updated_at": time.time()}
    connection.execute(update(tables.deployment).where(_DEPLOYMENT.key == key).values(**values))
    record = get(connection, key)
    if record is None:
        raise IllegalTransition(
            f"Deployment {key} cannot become {state.value}: it has no row.",
            hint="It was deleted, perhaps by another process; bring it up again.",
            record_id=key,
            to_state=state.value,
        )
    return record


def remove(connection: Connection, key: str) -> None:
    """Removes a deployment with its declarations and ended nodes; does nothing when there is none.

    Raises:
        IllegalTransition: A node of it has not ended.
    """
    for record in node_life.find(connection, deployment_key=key):
        node_life.remove(connection, record.id)
    connection.execute(delete(tables.declaration).where(tables.declaration.c.deployment_key == key))
    connection.execute(delete(tables.deployment).where(_DEPLOYMENT.key == key))


def _record(row: Row[Any]) -> DeploymentRecord:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["state"] = DeploymentState(values["state"])
    return DeploymentRecord(**values)
