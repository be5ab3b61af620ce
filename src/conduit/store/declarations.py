"""Who wants a deployment: a row for each process that declared it, counted only while that process lives.

A process is known by host, pid and start time together: a pid alone is soon another's.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import cache

import psutil
from sqlalchemy import Connection, delete, insert, select

from conduit.errors import IllegalTransition
from conduit.store import deployments, tables
from conduit.store.base import Declaration

_DECLARATION = tables.declaration.c
_SAME_START_S = 2.0
_OTHER_HOST_S = 24 * 3600.0
"""A process on another host cannot be looked at: its declaration counts for so long after it was made."""


def declare(connection: Connection, deployment_key: str) -> None:
    """Records, or renews, that this process wants the deployment.

    Raises:
        IllegalTransition: There is no such deployment.
    """
    if deployments.get(connection, deployment_key) is None:
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
            host=socket.gethostname(),
            pid=pid,
            started_at=_own_start(pid),
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
        declaration.host == socket.gethostname()
        and declaration.pid == pid
        and abs(declaration.started_at - _own_start(pid)) < _SAME_START_S
    )


def _counts(declaration: Declaration) -> bool:
    if declaration.host != socket.gethostname():
        return time.time() - declaration.declared_at < _OTHER_HOST_S
    try:
        process = psutil.Process(declaration.pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and abs(_start(process) - declaration.started_at) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # It exists and is not ours to look at: rather keep a deployment too long than end one in use.
        return True


@cache
def _own_start(pid: int) -> float:
    return _start(psutil.Process(pid))


def _start(process: psutil.Process) -> float:
    # Linux keeps a start as time since boot: what is added to make it a date moves when the clock is set.
    boot = psutil.boot_time() if sys.platform == "linux" else 0.0
    return float(process.create_time() - boot)


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
