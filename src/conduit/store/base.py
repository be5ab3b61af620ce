"""The store's value types: the states of records and one frozen class a table. No database here.

Times are Unix seconds. ``spec``, ``plan``, ``offering`` and ``handle`` are JSON values of the caller's own making.
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
    """A row of ``deployment``: one configuration that runs, may run or ran.

    Attributes:
        kept: It stays although no process wants it.
    """

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
    budget_usd: float | None = None
    plan: Mapping[str, Any] | None = None
    kept: bool = False


@dataclass(frozen=True)
class NodeRecord:
    """A row of ``node`` with its ``node_cost``: one replica, from the intent to its end.

    Attributes:
        handle: The provider's own; empty until the provider has told of the node.
        offering: What was asked for.
        expires_at: When the node ends by itself; None for never.
        reserved_usd: What was set aside for it of the budgets.
        ready_at: When it was ready for the first time.
        ended_at: When a final state was reached.
        billed_usd: What the provider has billed so far; None while it has not told.
    """

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
    offering: Mapping[str, Any] | None = None
    expires_at: float | None = None
    usd_per_hour: float | None = None
    reserved_usd: float = 0.0
    ready_at: float | None = None
    ended_at: float | None = None
    billed_usd: float | None = None

    def estimated_usd(self, now: float) -> float:
        """Price times time since the intent; nothing for one that ended without ever having had a handle."""
        if self.ended_at is not None and not self.handle:
            return 0.0
        end = now if self.ended_at is None else self.ended_at
        return (self.usd_per_hour or 0.0) * max(0.0, end - self.created_at) / 3600.0


@dataclass(frozen=True)
class Reservation:
    """Money that an intent sets aside, and the caps that it must stay under; None is no cap.

    Attributes:
        usd: The most that the node can cost: its price times its longest life.
        deployment_cap_usd: For all nodes of the deployment since it was put.
        owner_cap_usd: For all nodes of the owner's deployments that are in the records.
    """

    usd: float
    deployment_cap_usd: float | None = None
    owner_cap_usd: float | None = None


@dataclass(frozen=True)
class DeploymentCost:
    """What one deployment cost, its nodes and its calls; known also when the deployment was deleted.

    Attributes:
        name: The deployment's; None when it has none.
        nodes: How many there were that came to be, or may have.
        live_nodes: How many of them have not ended.
        node_s: Seconds that they lived, together.
        boot_s: Seconds of them before each was ready for the first time.
        usd_per_hour: Of the live ones, together.
        estimated_usd: Price times time.
        boot_usd: The part of it before each node was ready for the first time.
        billed_usd: What the provider has told of its bills; None when it has told nothing.
        calls: Model calls in the run log.
        calls_usd: Cost of those calls, as each was reckoned.
    """

    deployment_key: str
    project: str
    owner: str
    provider: str
    name: str | None
    nodes: int
    live_nodes: int
    node_s: float
    boot_s: float
    usd_per_hour: float
    estimated_usd: float
    boot_usd: float
    billed_usd: float | None
    calls: int
    calls_usd: float

    @property
    def idle_usd(self) -> float:
        """What was paid while nodes were ready and had nothing to do."""
        return max(0.0, self.estimated_usd - self.boot_usd - self.calls_usd)


@dataclass(frozen=True)
class Lease:
    """A row of ``lease`` that is held: of all processes on the database, one may do what it names.

    Attributes:
        holder: Host and pid, for messages.
        fence: Higher with every acquisition of the name.
    """

    name: str
    holder: str
    fence: int


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
        block_call_id: Of the block's call that it was made for.
        first_token_s: From sending the request that was answered to its first token, as far as it is known.
        revision: Of the model, where one is pinned.
        engine: What ran the model.
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
    block_call_id: str | None = None
    first_token_s: float | None = None
    revision: str | None = None
    engine: str | None = None
