"""What a node's environment holds beside its configuration: the tags it is found by, and its secrets.

The tags are labels where a provider has labels. Secrets go into the environment of the node and nowhere else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from conduit.compute.processes import DEPLOYMENT_TAG, EXPIRES_TAG, NODE_TAG, OWNER_TAG, PROJECT_TAG

if TYPE_CHECKING:
    from conduit.compute.base import NodeSpec
    from conduit.compute.owner import Owner

TOKEN_VARIABLE = "GPU_SERVER_TOKEN"  # noqa: S105 - a name, not a token
CONFIG_VARIABLE = "GPU_SERVER_CONFIG"


def name(owner: str, node_id: str) -> str:
    """What a node is called at a provider that has names: owner and node are read back from it."""
    return f"cdt-{owner}-{node_id}"


def tags(spec: NodeSpec) -> dict[str, str]:
    """The tags by which the node is found again when all records are lost."""
    found = {
        NODE_TAG: spec.node_id,
        OWNER_TAG: spec.owner,
        DEPLOYMENT_TAG: spec.deployment_key,
        PROJECT_TAG: spec.project,
    }
    return found if spec.expires_at is None else {**found, EXPIRES_TAG: str(int(spec.expires_at))}


def secrets(owner: Owner, spec: NodeSpec) -> dict[str, str]:
    """The token of the node's server, and the keys of the servers that its models are attached to."""
    names = {model.get("api_key_variable") for model in spec.config.get("models", ())}
    keys = {name: os.environ[name] for name in names if name and name in os.environ}
    return {TOKEN_VARIABLE: owner.token(spec.node_id).get_secret_value(), **keys}
