"""The store's value types: the states of records and one frozen class a table. No database here.

Times are Unix seconds. ``spec`` and ``handle`` are JSON values of the caller's own making.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class NodeState(StrEnum):
    """The life of a node's row."""

    INTENT = "intent"  # committed before the provider is asked for anything
    CREATING = "creating"  # the provider has been asked
    STARTING = "starting"  # it exists, its server is not ready
    READY = "ready"
    UNHEALTHY = "unhealthy"
    TERMINATING = "terminating"  # it was told to end
    TERMINATED = "terminated"  # the provider confirmed that it is gone
    FAILED = "failed"  # it never came to be, or did not become ready, and is gone
    LOST = "lost"  # it went away by itself

    @property
    def final(self) -> bool:
        """Whether nothing of the node can exist any more."""
        return self in (NodeState.TERMINATED, NodeState.FAILED, NodeState.LOST)


class DeploymentState(StrEnum):
    """What became of a deployment; the health of its replicas stands in their nodes' rows."""

    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class DeploymentRecord:
    """A row of ``deployment``: one configuration that runs, may run or ran."""

    key: str
    project: str
    owner: str
    provider: str
    name: str | None
    spec: Mapping[str, Any]
    state: DeploymentState
    reason: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class NodeRecord:
    """A row of ``node``: one replica, from the intent to its end."""

    id: str
    deployment_key: str
    provider: str
    owner: str
    replica: int
    state: NodeState
    handle: Mapping[str, Any]
    reason: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class Declaration:
    """A row of ``declaration``: a live process wants the deployment."""

    deployment_key: str
    pid: int
    started_at: float
    host: str
    declared_at: float


@dataclass(frozen=True)
class Attempt:
    """One answer that a model call asked for. Never its text.

    Attributes:
        sent: How often it was sent; a request whose replica is lost goes to another one.
        prompt_tokens: As the engine counted them; None where it never told, such as for a stream that was left.
        completion_tokens: The same of the answer, thinking included.
        finish_reason: The engine's; None without a whole answer.
        problems: Lines of errors that the answer was refused with.
        repairs: Kinds of the repairs that made the answer readable.
        replica: Id of the node that answered.
        error: The error's ``code``; None when the answer was taken.
    """

    sent: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float = 0.0
    finish_reason: str | None = None
    problems: int = 0
    repairs: tuple[str, ...] = ()
    replica: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class ModelCall:
    """A row of ``model_call``, the run log: one model call with all its attempts. Never its text.

    Attributes:
        started_at: When the call began, Unix seconds.
        block: Name of the block; None for a direct call.
        inputs_hash: Hash of prompt and values, to see that two calls were the same.
        replica: Id of the node that answered last.
        attempts: Requests sent; tokens are the sum over all of them.
        repairs: Of the answer that was taken.
        error: The error's ``code``; None when a value was returned.
        attempt_log: The answers asked for, first to last; an invalid one is asked for again.
    """

    started_at: float
    model_id: str
    block: str | None = None
    inputs_hash: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    replica: str | None = None
    attempts: int = 1
    repairs: int = 0
    cost_usd: float | None = None
    error: str | None = None
    flow_run_id: str | None = None
    deployment_key: str | None = None
    request_id: str | None = None
    attempt_log: tuple[Attempt, ...] = ()
