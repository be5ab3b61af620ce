"""Rows of deployments: put, found, moved and removed inside a transaction of the caller's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, select, update

from conduit.errors import IllegalTransition
from conduit.store import costs, node_life, tables
from conduit.store.base import DeploymentRecord, DeploymentState
from conduit.store.database import insert_unless_taken

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPLOYMENT = tables.deployment.c


def put(connection: Connection, new: DeploymentRecord) -> DeploymentRecord:
    """Inserts a deployment; one that is there is returned as it is."""
    # Between a look and an insertion others may put the deployment, and delete it between that and a look.
    while (there := get(connection, new.key)) is None:
        if insert_unless_taken(connection, tables.deployment, vars(new) | {"state": new.state.value}):
            return new
    return there


def get(connection: Connection, key: str, *, lock: bool = False) -> DeploymentRecord | None:
    """The deployment's row; with ``lock`` nobody adds to the deployment before the transaction ends."""
    query = select(tables.deployment).where(_DEPLOYMENT.key == key)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
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
    record = _change(connection, key, {"state": state.value, "reason": reason})
    if record is None:
        raise IllegalTransition(
            f"Deployment {key} cannot become {state.value}: it has no row.",
            hint="It was deleted, perhaps by another process; bring it up again.",
            record_id=key,
            to_state=state.value,
        )
    return record


def set_plan(
    connection: Connection, key: str, *, plan: Mapping[str, Any] | None, budget_usd: float | None
) -> DeploymentRecord:
    """Sets what the deployment is to run on and what it may cost.

    Raises:
        IllegalTransition: There is no such deployment.
    """
    record = _change(connection, key, {"plan": plan, "budget_usd": budget_usd})
    if record is None:
        raise IllegalTransition(
            f"Deployment {key} cannot take a plan: it has no row.",
            hint="Put the deployment first.",
            record_id=key,
        )
    return record


def set_kept(connection: Connection, key: str, *, kept: bool) -> DeploymentRecord:
    """Sets whether the deployment stays although no process wants it.

    Raises:
        IllegalTransition: There is no such deployment.
    """
    record = _change(connection, key, {"kept": kept})
    if record is None:
        raise IllegalTransition(
            f"Deployment {key} cannot be kept: it has no row.",
            hint="It was deleted, perhaps by another process; bring it up again.",
            record_id=key,
        )
    return record


def remove(connection: Connection, key: str) -> None:
    """Removes a deployment with its declarations and ended nodes; does nothing when there is none.

    What its nodes cost stays known.

    Raises:
        IllegalTransition: A node of it has not ended.
    """
    # When it was just deleted and put anew by others, the new one is not this caller's to remove.
    if get(connection, key, lock=True) is None:
        return
    for record in node_life.find(connection, deployment_key=key):
        node_life.remove(connection, record.id)
    costs.close(connection, key)
    connection.execute(delete(tables.declaration).where(tables.declaration.c.deployment_key == key))
    connection.execute(delete(tables.deployment).where(_DEPLOYMENT.key == key))


def _change(connection: Connection, key: str, values: Mapping[str, Any]) -> DeploymentRecord | None:
    row = update(tables.deployment).where(_DEPLOYMENT.key == key)
    connection.execute(row.values(updated_at=time.time(), **values))
    return get(connection, key)


def _record(row: Row[Any]) -> DeploymentRecord:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["state"] = DeploymentState(values["state"])
    return DeploymentRecord(**values)
