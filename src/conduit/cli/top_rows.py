"""What ``conduit top`` shows of each deployment, replica and model, from what they say and said before. No I/O."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conduit.cli.top_samples import Samples
from conduit.lmlite import DeploymentView, NodeSummary, Said

RATES_OVER_S = 10.0
MINUTE_S = 60.0
_NOTHING = Samples()
_TTFT = "gpu_server_time_to_first_token_seconds"


@dataclass(frozen=True)
class ModelRow:
    """One model of one replica; ``None`` is not known.

    Attributes:
        requests_per_s: Over the last 10 s, as ``tokens_per_s``.
        first_token_p50_s: Time to the first token, over the last minute; of the replica's life where that had none.
        kv_used: Share of the key-value cache.
    """

    model_id: str
    state: str
    reason: str | None = None
    running: int | None = None
    waiting: int | None = None
    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    first_token_p50_s: float | None = None
    first_token_p95_s: float | None = None
    kv_used: float | None = None
    errors_last_minute: int | None = None
    restarts: int | None = None


@dataclass(frozen=True)
class ReplicaRow:
    """One replica; ``rss_bytes`` is its server's and its engines' memory together."""

    node_id: str
    replica: int
    state: str
    url: str | None
    age_s: float
    rss_bytes: float | None
    models: tuple[ModelRow, ...]


@dataclass(frozen=True)
class DeploymentRow:
    """One deployment."""

    key: str
    name: str | None
    project: str
    state: str
    reason: str | None
    wanted_replicas: int
    wanted_by: tuple[str, ...]
    age_s: float
    replicas: tuple[ReplicaRow, ...]


class History:
    """What each replica said in the last minute."""

    def __init__(self) -> None:
        self._said: dict[str, deque[tuple[float, Samples]]] = {}

    def rows(
        self, deployments: Sequence[DeploymentView], said: Mapping[str, Said]
    ) -> tuple[DeploymentRow, ...]:
        """The rows of now; what was said is remembered for the next time."""
        nodes = {node.id for deployment in deployments for node in deployment.nodes}
        self._said = {node: past for node, past in self._said.items() if node in nodes}
        return tuple(self._deployment(deployment, said) for deployment in deployments)

    def _deployment(self, view: DeploymentView, said: Mapping[str, Said]) -> DeploymentRow:
        now = time.time()
        return DeploymentRow(
            key=view.key,
            name=view.name,
            project=view.project,
            state=view.state,
            reason=view.reason,
            wanted_replicas=view.replicas,
            wanted_by=view.wanted_by,
            age_s=max(0.0, now - view.created_at),
            replicas=tuple(
                self._replica(view, node, said.get(node.id), max(0.0, now - node.created_at))
                for node in sorted(view.nodes, key=lambda each: (each.replica, each.created_at))
            ),
        )

    def _replica(
        self, view: DeploymentView, node: NodeSummary, said: Said | None, age_s: float
    ) -> ReplicaRow:
        ready = {} if said is None else said.ready
        entries: list[dict[str, Any]] = list(ready.get("models", ()))
        if said is None or not entries:
            state = node.state if said is None else "silent"
            models = tuple(ModelRow(model, state) for model in view.models)
            return ReplicaRow(node.id, node.replica, state, node.url, age_s, None, models)
        samples = Samples(said.metrics)
        past = self._said.setdefault(node.id, deque())
        while past and said.at - past[0][0] > MINUTE_S:
            past.popleft()
        models = tuple(_model(entry, samples, past, said.at) for entry in entries)
        past.append((said.at, samples))
        state = "draining" if ready.get("draining") else node.state
        return ReplicaRow(node.id, node.replica, state, node.url, age_s, _memory(samples), models)


def _model(
    entry: Mapping[str, Any], now: Samples, past: Sequence[tuple[float, Samples]], at: float
) -> ModelRow:
    model = str(entry["model_id"])
    recent = next(((then, before) for then, before in past if at - then <= RATES_OVER_S), None)
    since = past[0][1] if past else _NOTHING
    if now.quantile(0.5, since, _TTFT, model=model) is None:
        since = _NOTHING

    def rate(name: str) -> float | None:
        if recent is None or at <= recent[0]:
            return None
        return now.grown(recent[1], name, model=model) / (at - recent[0])

    return ModelRow(
        model_id=model,
        state=str(entry.get("state")),
        reason=entry.get("reason"),
        running=entry.get("running"),
        waiting=entry.get("waiting"),
        requests_per_s=rate("gpu_server_requests_total"),
        tokens_per_s=rate("gpu_server_completion_tokens_total"),
        first_token_p50_s=now.quantile(0.5, since, _TTFT, model=model),
        first_token_p95_s=now.quantile(0.95, since, _TTFT, model=model),
        kv_used=now.value("gpu_server_kv_cache_usage_ratio", model=model),
        errors_last_minute=int(max(0.0, now.errors(model) - past[0][1].errors(model))) if past else None,
        restarts=entry.get("restarts"),
    )


def _memory(samples: Samples) -> float | None:
    own = samples.value("process_resident_memory_bytes")
    return None if own is None else own + (samples.value("gpu_server_child_resident_memory_bytes") or 0.0)
