"""Conduit's own records: deployments, their nodes and what they cost, leases, who wants what, and the run log.

They lie in SQLite, or in Postgres by URL. Nothing is opened at import; ``open_store`` opens a database once a
process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.store.base import (
    Attempt,
    Declaration,
    DeploymentCost,
    DeploymentRecord,
    DeploymentState,
    Lease,
    ModelCall,
    NodeRecord,
    NodeState,
    Reservation,
)

if TYPE_CHECKING:
    from conduit.store.opening import open_store
    from conduit.store.store import Store

__all__ = [
    "Attempt",
    "Declaration",
    "DeploymentCost",
    "DeploymentRecord",
    "DeploymentState",
    "Lease",
    "ModelCall",
    "NodeRecord",
    "NodeState",
    "Reservation",
    "Store",
    "open_store",
]


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes half a second to import, and who only names a record needs none of it.
    if name == "Store":
        from conduit.store.store import Store

        return Store
    if name == "open_store":
        from conduit.store.opening import open_store

        return open_store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
