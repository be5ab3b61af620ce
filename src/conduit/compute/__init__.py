"""Machines: providers that start, find and end the nodes on which replicas run.

The rest of Conduit talks to a ``Provider`` and its value types (``base.py``); each provider is one sibling
module or package, which ``registry.py`` imports when it is asked for by name. Records, plans and health of the
servers on the nodes are kept elsewhere.
"""

from __future__ import annotations

import secrets

from conduit.compute.base import (
    Caps,
    ComputeProvider,
    Constraint,
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
    Provider,
    check_node_id,
)
from conduit.compute.gpus import FACTS as GPU_FACTS
from conduit.compute.gpus import GPUS, GpuFacts
from conduit.compute.owner import Owner
from conduit.compute.owner import load as load_owner
from conduit.compute.registry import names as provider_names
from conduit.compute.registry import provider

__all__ = [
    "GPUS",
    "GPU_FACTS",
    "SERVER_PORT",
    "Caps",
    "ComputeProvider",
    "Constraint",
    "GpuFacts",
    "NodeSpec",
    "NodeStatus",
    "NodeView",
    "Offering",
    "OfferingQuery",
    "Owner",
    "Provider",
    "check_node_id",
    "load_owner",
    "new_node_id",
    "provider",
    "provider_names",
]

SERVER_PORT = 8000
"""The port that ``Provider.endpoint`` is asked for; a provider may serve it at another number."""


def new_node_id() -> str:
    """A fresh id: to be committed as an intent before ``Provider.create`` gets it."""
    return f"n{secrets.token_hex(6)}"
