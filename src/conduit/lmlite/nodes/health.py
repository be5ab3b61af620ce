"""How a deployment is: plain values, easily turned into JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from conduit.lmlite.replicas.client import Loading


@dataclass(frozen=True)
class ReplicaHealth:
    """One replica.

    Attributes:
        node_id: Its node.
        replica: Its number in the deployment.
        state: The state in the records, or what the replica proves to be: ``busy``, ``draining``, ``dead``, or
            ``lost`` when its process is gone.
        url: Its server's base URL; ``None`` while it is not known.
        ready: All of its models are.
        models: For each model id ``starting``, ``ready``, ``busy`` or ``failed``.
        reasons: For each model id that has one, why.
        loading: For each model id that is being started, how far it is.
        log: Path of its log.
        breaker: ``closed``; ``open`` while it gets nothing after broken connections; ``half-open`` for a trial.
    """

    node_id: str
    replica: int
    state: str
    url: str | None = None
    ready: bool = False
    models: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    loading: dict[str, Loading] = field(default_factory=dict)
    log: str | None = None
    breaker: str = "closed"


@dataclass(frozen=True)
class Health:
    """One deployment.

    Attributes:
        key: Its name in the records.
        state: ``absent``, ``starting``, ``ready``, ``stopped`` or ``failed``, as recorded.
        ready: As many replicas as are wanted are ready.
        wanted_replicas: How many the configuration asks for.
        replicas: Those that there are.
        reason: Why the state is what it is, where that is known.
        replaced: How many replicas this process has replaced since it brought the deployment up.
    """

    key: str
    state: str
    ready: bool
    wanted_replicas: int
    replicas: tuple[ReplicaHealth, ...]
    reason: str | None = None
    replaced: int = 0
