"""Machines: providers that start, find and end the nodes on which replicas run.

The rest of Conduit talks to a ``Provider`` and its value types (``base.py``); each provider is one sibling
module. Records, plans and health of the servers on the nodes are kept elsewhere.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

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
)
from conduit.compute.gpus import GPUS
from conduit.compute.local import LocalProvider
from conduit.compute.owner import Owner
from conduit.compute.owner import load as load_owner
from conduit.errors import ProviderUnavailable

if TYPE_CHECKING:
    from conduit.settings import Settings

__all__ = [
    "GPUS",
    "SERVER_PORT",
    "Caps",
    "ComputeProvider",
    "Constraint",
    "LocalProvider",
    "NodeSpec",
    "NodeStatus",
    "NodeView",
    "Offering",
    "OfferingQuery",
    "Owner",
    "Provider",
    "load_owner",
    "new_node_id",
    "provider",
]

SERVER_PORT = 8000
"""The port that ``Provider.endpoint`` is asked for; a provider may serve it at another number."""


def new_node_id() -> str:
    """A fresh id: to be committed as an intent before ``Provider.create`` gets it."""
    return f"n{secrets.token_hex(6)}"


def provider(kind: ComputeProvider, settings: Settings) -> Provider:
    """The provider of that kind, with its owner read from the data folder.

    Raises:
        ProviderUnavailable: Conduit cannot use that provider yet.
        StoreUnavailable: The data folder cannot be used.
    """
    if kind is ComputeProvider.LOCAL:
        return LocalProvider(settings.data_dir, load_owner(settings))
    raise ProviderUnavailable(
        f"ComputeProvider.{kind.name} cannot be used in this version of Conduit.",
        hint="Use compute_provider=ComputeProvider.LOCAL: replicas run as processes on this machine.",
    )
