"""RunPod's pods and endpoints read as nodes: whose they are, and what their states mean."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from conduit.compute import environment
from conduit.compute.base import NodeStatus, NodeView, check_node_id
from conduit.compute.processes import DEPLOYMENT_TAG, NODE_TAG, OWNER_TAG, PROJECT_TAG
from conduit.compute.runpod.answers import LOOK_HINT, PROVIDER
from conduit.errors import AmbiguousAnswer, ComputeError, ProviderRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["pod", "endpoint"]

PATHS: Mapping[Kind, str] = {"pod": "/v2/pods", "endpoint": "/v2/serverless"}
GONE = "TERMINATED"

# ERROR is missing: RunPod says only of EXITED and TERMINATED that they cost nothing, so it counts as living.
_STATUSES = {"RUNNING": NodeStatus.RUNNING, "EXITED": NodeStatus.EXITED, GONE: NodeStatus.EXITED}


def view(kind: Kind, thing: Mapping[str, Any], owner: str, node_id: str | None = None) -> NodeView | None:
    """A pod or an endpoint as a node; None when it is not that owner's.

    Args:
        kind: Which of both.
        thing: RunPod's JSON.
        owner: Whose nodes are wanted.
        node_id: What it is known to be, for one that was asked for by its handle.

    Raises:
        AmbiguousAnswer: It has no id or name, so it cannot be told whose it is.
    """
    known_as, name = thing.get("id"), thing.get("name")
    if not isinstance(known_as, str) or not known_as or not isinstance(name, str):
        raise AmbiguousAnswer(
            f"RunPod shows a {kind} without an id or a name.", hint=LOOK_HINT, provider=PROVIDER
        )
    given = thing.get("env")
    tags: Mapping[str, Any] = given if isinstance(given, dict) else {}
    node_id = node_id or _node_id(name, tags, owner)
    if node_id is None:
        return None
    cost, said = thing.get("cost"), thing.get("status")
    return NodeView(
        node_id,
        owner=owner,
        provider=PROVIDER,
        # An endpoint takes requests from the moment that it is there.
        status=NodeStatus.RUNNING if kind == "endpoint" else _STATUSES.get(str(said), NodeStatus.STARTING),
        deployment_key=_text(tags.get(DEPLOYMENT_TAG)),
        project=_text(tags.get(PROJECT_TAG)),
        created_at=_moment(thing.get("createdAt")),
        handle={"kind": kind, "id": known_as},
        log=f"RunPod's console, {kind} {known_as}",
        usd_per_hour=float(cost) if isinstance(cost, int | float) and math.isfinite(cost) else None,
        serverless=kind == "endpoint",
        said=_text(said),
    )


def of_handle(handle: Mapping[str, Any]) -> tuple[Kind, str]:
    """What a node's handle says: pod or endpoint, and its id at RunPod.

    Raises:
        ProviderRejected: It says something else.
    """
    kind, known_as = handle.get("kind"), handle.get("id")
    if isinstance(known_as, str) and re.fullmatch(r"[\w-]+", known_as, re.ASCII):
        if kind == "pod":
            return "pod", known_as
        if kind == "endpoint":
            return "endpoint", known_as
    raise ProviderRejected(
        f"{dict(handle)!r} is no handle of a RunPod node.",
        hint="Take it from a NodeView of this provider.",
        provider=PROVIDER,
    )


def _node_id(name: str, tags: Mapping[str, Any], owner: str) -> str | None:
    """Of a node of that owner: from its name, or from its tags when somebody has renamed it."""
    prefix = environment.name(owner, "")
    node_id = name.removeprefix(prefix) if name.startswith(prefix) else None
    if node_id is None and tags.get(OWNER_TAG) == owner:
        node_id = _text(tags.get(NODE_TAG))
    try:
        check_node_id(node_id or "")
    except ComputeError:
        return None
    return node_id


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None
