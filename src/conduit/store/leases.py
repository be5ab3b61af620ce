"""Leases: of all processes on a database, one at a time may do what the lease's name says.

A lease is lost when its time passes without a renewal, or at once when its holder is a process of this host that
is gone. What a slow holder still does after that cannot be stopped here: the fence, higher with each holder, tells
its deeds from its successor's.
"""

from __future__ import annotations

import os
import time
from typing import Any

from sqlalchemy import Connection, Row, extract, func, select, update

from conduit.store import processes, tables
from conduit.store.base import Lease
from conduit.store.database import insert_unless_taken

_LEASE = tables.lease.c


def acquire(connection: Connection, name: str, *, ttl_s: float) -> Lease | None:
    """Takes the lease; None when somebody holds it, be it this very process."""
    row = _locked(connection, name)
    if row is None:
        insert_unless_taken(connection, tables.lease, {"name": name, "fence": 0, "expires_at": 0.0})
        row = _locked(connection, name)
        assert row is not None, "rows of leases are never removed"
    now = _now(connection)
    if _held(row, now):
        return None
    pid = os.getpid()
    lease = Lease(name, f"{processes.host()}:{pid}", row.fence + 1)
    connection.execute(
        update(tables.lease)
        .where(_LEASE.name == name)
        .values(
            fence=lease.fence,
            host=processes.host(),
            pid=pid,
            started_at=processes.start_of(pid),
            expires_at=now + ttl_s,
        )
    )
    return lease


def renew(connection: Connection, lease: Lease, *, ttl_s: float) -> bool:
    """Holds the lease for so long from now on; False when it is lost."""
    return _change(connection, lease, expires_at=_now(connection) + ttl_s)


def release(connection: Connection, lease: Lease) -> None:
    """Gives the lease back; does nothing when it is lost."""
    _change(connection, lease, host=None, pid=None, started_at=None, expires_at=0.0)


def _change(connection: Connection, lease: Lease, **values: float | str | None) -> bool:
    # A holder that was late but has no successor still holds it; a released one has no host.
    ours = (_LEASE.name == lease.name) & (_LEASE.fence == lease.fence) & _LEASE.host.is_not(None)
    return connection.execute(update(tables.lease).where(ours).values(**values)).rowcount > 0


def _locked(connection: Connection, name: str) -> Row[Any] | None:
    query = select(tables.lease).where(_LEASE.name == name).with_for_update()
    return connection.execute(query).one_or_none()


def _held(row: Row[Any], now: float) -> bool:
    if row.host is None or row.expires_at <= now:
        return False
    return row.host != processes.host() or not processes.dead(row.pid, row.started_at)


def _now(connection: Connection) -> float:
    # Holders on several hosts must read one clock. SQLite's file has one host.
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0.0)
