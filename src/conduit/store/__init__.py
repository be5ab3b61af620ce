"""Conduit's own records: deployments, their nodes, who wants them, and the run log.

They lie in SQLite, or in Postgres by URL. Nothing is opened at import; ``open_store`` opens a database once a
process.
"""

from __future__ import annotations

from conduit.store.base import (
    Attempt,
    Declaration,
    DeploymentRecord,
    DeploymentState,
    ModelCall,
    NodeRecord,
    NodeState,
)
from conduit.store.store import Store, open_store

__all__ = [
    "Attempt",
    "Declaration",
    "DeploymentRecord",
    "DeploymentState",
    "ModelCall",
    "NodeRecord",
    "NodeState",
    "Store",
    "open_store",
]
