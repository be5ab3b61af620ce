"""The LMLite resource: a deployment of models, its replicas, and the calls to them.

``LMLiteResource`` is the class; functions on deployments from outside are for the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.lmlite.calls.arguments import sampling
from conduit.lmlite.calls.reply import Reply
from conduit.lmlite.calls.substitute import Substitute, override
from conduit.lmlite.config import ModelConfig, Routing
from conduit.lmlite.life_cycle import Endpoint
from conduit.lmlite.model_config import EngineName
from conduit.lmlite.nodes.health import Health, ReplicaHealth
from conduit.lmlite.request import LMReply, LMRequest, Sampling, block_call_id, flow_run_id
from conduit.lmlite.resource import LMLiteResource
from conduit.store import Attempt, DeploymentCost

if TYPE_CHECKING:
    from conduit.lmlite.front.front import Front
    from conduit.lmlite.nodes.inventory import (
        DeploymentView,
        NodeSummary,
        Removed,
        collect,
        costs,
        deployments,
        down,
    )
    from conduit.lmlite.nodes.quote import Quote
    from conduit.lmlite.nodes.watch import Said, Watch

__all__ = [
    "Attempt",
    "DeploymentCost",
    "DeploymentView",
    "Endpoint",
    "EngineName",
    "Front",
    "Health",
    "LMLiteResource",
    "LMReply",
    "LMRequest",
    "ModelConfig",
    "NodeSummary",
    "Quote",
    "Removed",
    "ReplicaHealth",
    "Reply",
    "Routing",
    "Said",
    "Sampling",
    "Substitute",
    "Watch",
    "block_call_id",
    "collect",
    "costs",
    "deployments",
    "down",
    "flow_run_id",
    "override",
    "sampling",
]


def __getattr__(name: str) -> Any:
    # Lazily: they bring the database library, which a program that only calls blocks may never need.
    if name in __all__:
        if name == "Front":
            from conduit.lmlite.front.front import Front

            return Front
        if name == "Quote":
            from conduit.lmlite.nodes.quote import Quote

            return Quote
        from conduit.lmlite.nodes import inventory, watch

        return getattr(watch if name in ("Said", "Watch") else inventory, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
