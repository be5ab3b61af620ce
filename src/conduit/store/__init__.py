"""Conduit's own records: deployments, their nodes and what they cost, leases, who wants what, the run log of flow
runs and calls, and the ledgers of maps.

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
from conduit.store.ledgers import LedgerCounts, LedgerRow, LedgerState, LedgerSummary
from conduit.store.runs import BlockCall, BlockTotals, CallState, FlowRun, FlowTotals

if TYPE_CHECKING:
    from conduit.store.opening import open_store
    from conduit.store.store import Store
    from conduit.store.values import redacted, values_kept

__all__ = [
    "Attempt",
    "BlockCall",
    "BlockTotals",
    "CallState",
    "Declaration",
    "DeploymentCost",
    "DeploymentRecord",
    "DeploymentState",
    "FlowRun",
    "FlowTotals",
    "Lease",
    "LedgerCounts",
    "LedgerRow",
    "LedgerState",
    "LedgerSummary",
    "ModelCall",
    "NodeRecord",
    "NodeState",
    "Reservation",
    "Store",
    "open_store",
    "redacted",
    "values_kept",
]


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes half a second to import, and who only names a record needs none of it.
    if name == "Store":
        from conduit.store.store import Store

        return Store
    if name == "open_store":
        from conduit.store.opening import open_store

        return open_store
    if name in ("redacted", "values_kept"):
        from conduit.store import values

        return getattr(values, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
