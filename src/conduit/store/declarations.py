"""Who wants a deployment: a row for each process that declared it, counted only while that process lives."""

from __future__ import annotations

import os
import time

from sqlalchemy import Connection, delete, insert, select

from conduit.errors import IllegalTransition
from conduit.store import deployments, processes, tables
from conduit.store.base import Declaration

_DECLARATION = tables.declaration.c
_OTHER_HOST_S = 24 * 3600.0
"""A process on another host cannot be looked at: its declaration counts for so long after it was made."""


def declare(connection: Connection, deployment_key: str) -> None:
    """Records, or renews, that this process wants the deployment.

    Raises:
        IllegalTransition: There is no such deployment.
    """
    if deployments.get(connection, deployment_key, lock=True) is None:
        raise IllegalTransition(
            f"Deployment {deployment_key} cannot be declared: it has no row.",
            hint="Put the deployment first.",
            record_id=deployment_key,
        )
    withdraw(connection, deployment_key)
    pid = os.getpid()
    connection.execute(
        insert(tables.declaration).values(
            deployment_key=deployment_key,
            host=processes.host(),
            pid=pid,
            started_at=processes.start_of(pid),
            declared_at=time.time(),
        )
    )


def withdraw(connection: Connection, deployment_key: str) -> None:
    """Records that this process does not want the deployment any more."""
    for declaration in _rows(connection, deployment_key):
        if is_ours(declaration):
            _remove(connection, declaration)


def find(connection: Connection, deployment_key: str | None) -> list[Declaration]:
    """Declarations of living processes; the rows of dead ones are removed."""
    living = []
    for declaration in _rows(connection, deployment_key):
        if _counts(declaration):
            living.append(declaration)
        else:
            _remove(connection, declaration)
    return living


def is_ours(declaration: Declaration) -> bool:
    """Whether this very process made it."""
    pid = os.getpid()
    return (
        declaration.host == processes.host()
        and declaration.pid == pid
        and abs(declaration.started_at - processes.start_of(pid)) < processes.SAME_START_S
    )


def _counts(declaration: Declaration) -> bool:
    if declaration.host != processes.host():
        return time.time() - declaration.declared_at < _OTHER_HOST_S
    # One that cannot be looked at counts: rather keep a deployment too long than end one in use.
    return not processes.dead(declaration.pid, declaration.started_at)


def _rows(connection: Connection, deployment_key: str | None) -> list[Declaration]:
    query = select(tables.declaration).order_by(_DECLARATION.declared_at)
    if deployment_key is not None:
        query = query.where(_DECLARATION.deployment_key == deployment_key)
    return [Declaration(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public name


def _remove(connection: Connection, declaration: Declaration) -> None:
    connection.execute(
        delete(tables.declaration).where(
            _DECLARATION.deployment_key == declaration.deployment_key,
            _DECLARATION.host == declaration.host,
            _DECLARATION.pid == declaration.pid,
            _DECLARATION.started_at == declaration.started_at,
        )
    )
