"""Conduit's own records: deployments, their nodes, who wants them, and the run log.

They lie in SQLite, or in Postgres by URL. Nothing is opened at import; ``open_store`` opens a database once a
process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.store.base import (
    Attempt,
    Declaration,
    DeploymentRecord,
    DeploymentState,
    ModelCall,
    NodeRecord,
    NodeState,
)

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes half a second to import, and who only names a record needs none of it.
    if name in ("Store", "open_store"):
        from conduit.store import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
