"""What a user asks for: the models, and how their replicas are to run. Values only; nothing is looked up here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from conduit.compute import GPUS, ComputeProvider, Constraint
from conduit.errors import ArgumentInvalid, ModelNotFound

LOCAL_IDLE_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class ModelConfig:
    """One model and the load it is to take.

    Attributes:
        model_id: ``conduit/tiny``, a folder in the Hugging Face layout, or an id on the hub.
        max_model_len: Most tokens of one request, prompt and answer together.
        max_model_concurrency: Most requests that one replica runs at a time.
        model_batch_execute_timeout_ms: How long an idle replica collects requests before it runs them as one
            batch; 0 starts each at once and lets later ones join.
        revision: Of the hub's repository.
        dtype: The weights' type in memory; ``None`` for the engine's choice.
        quantization: The engine's name of it; ``None`` for what the checkpoint has.
    """

    model_id: str
    max_model_len: int = 1024
    max_model_concurrency: int = 1
    model_batch_execute_timeout_ms: int = 0
    revision: str | None = None
    dtype: str | None = None
    quantization: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model_id, str) or not self.model_id.strip():
            raise ArgumentInvalid(
                f"model_id must be a text, not {self.model_id!r}.",
                hint='Give a model: ModelConfig("conduit/tiny").',
                argument="model_id",
            )
        _whole("max_model_len", self.max_model_len, least=2)
        _whole("max_model_concurrency", self.max_model_concurrency, least=1)
        _whole("model_batch_execute_timeout_ms", self.model_batch_execute_timeout_ms, least=0)


@dataclass(frozen=True)
class ResourceConfig:
    """The whole configuration of one LMLite; ``resource_config`` makes and checks it."""

    models: tuple[ModelConfig, ...]
    provider: ComputeProvider
    gpu: GPUS | None
    num_gpus: int | None
    replicas: int
    constraints: tuple[Constraint, ...]
    budget_usd: float | None
    max_lifetime_s: float | None
    idle_timeout_s: float | None
    name: str | None

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The ids that a call may name."""
        return tuple(model.model_id for model in self.models)

    def model(self, model_id: str | None) -> ModelConfig:
        """The model of that id; without an id the only one there is.

        Raises:
            ArgumentInvalid: No id, and several models.
            ModelNotFound: No model of that id here.
        """
        if model_id is None:
            if len(self.models) > 1:
                raise ArgumentInvalid(
                    f"model_id is missing, and this LMLite has {len(self.models)} models.",
                    hint=f"Give one of: {', '.join(self.model_ids)}.",
                    argument="model_id",
                )
            return self.models[0]
        for model in self.models:
            if model.model_id == model_id:
                return model
        raise ModelNotFound(
            f"This LMLite has no model {model_id!r}.",
            hint=f"It has: {', '.join(self.model_ids)}.",
            model_id=model_id,
        )

    def spec(self) -> dict[str, Any]:
        """The configuration as JSON values, for records."""
        values = asdict(self)
        return values | {"constraints": list(self.constraints), "models": [asdict(m) for m in self.models]}

    def key(self, *, project: str, owner: str, files: Mapping[str, str], server: str) -> str:
        """Names the deployment: equal for all that would run the same, different for anything that would not.

        Args:
            project: Whose it is.
            owner: Tag of the data folder's owner.
            files: For each model id, a fingerprint of its files.
            server: Version of the server that runs them.
        """
        what = {name: value for name, value in self.spec().items() if name not in ("name", "budget_usd")}
        content = ["deployment/1", what, project, owner, dict(files), server]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return "d" + hashlib.sha256(text.encode()).hexdigest()[:20]


def resource_config(
    models: str | ModelConfig | Sequence[str | ModelConfig],
    compute_provider: ComputeProvider | str,
    *,
    gpu: GPUS | str | None = None,
    num_gpus: int | None = None,
    replicas: int = 1,
    constraints: Sequence[Constraint | str] = (),
    budget_usd: float | None = None,
    max_lifetime: float | timedelta | None = None,
    idle_timeout: float | timedelta | None = LOCAL_IDLE_TIMEOUT_S,
    name: str | None = None,
) -> ResourceConfig:
    """Checks an LMLite's arguments and puts them into one form.

    Raises:
        ArgumentInvalid: One of them is impossible; ``argument`` names it.
    """
    listed = [models] if isinstance(models, str | ModelConfig) else list(models)
    configs = tuple(ModelConfig(m) if isinstance(m, str) else m for m in listed)
    for config in configs:
        if not isinstance(config, ModelConfig):
            raise ArgumentInvalid(
                f"models holds a {type(config).__name__}.",
                hint='Give ModelConfig("...") or a model id.',
                argument="models",
            )
    ids = [config.model_id for config in configs]
    if not ids or len(set(ids)) < len(ids):
        problem = f"names a model twice: {', '.join(ids)}" if ids else "is empty"
        raise ArgumentInvalid(f"models {problem}.", hint="Give each model once.", argument="models")
    if num_gpus is not None:
        _whole("num_gpus", num_gpus, least=1)
    if budget_usd is not None and not budget_usd > 0:
        raise ArgumentInvalid(f"budget_usd must be above 0, not {budget_usd!r}.", argument="budget_usd")
    return ResourceConfig(
        models=configs,
        provider=_member(ComputeProvider, compute_provider, "compute_provider"),
        gpu=None if gpu is None else _member(GPUS, gpu, "gpu"),
        num_gpus=num_gpus,
        replicas=_whole("replicas", replicas, least=1),
        constraints=tuple(_member(Constraint, c, "constraints") for c in constraints),
        budget_usd=budget_usd,
        max_lifetime_s=_seconds("max_lifetime", max_lifetime),
        idle_timeout_s=_seconds("idle_timeout", idle_timeout),
        name=name,
    )


def _whole(name: str, value: Any, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentInvalid(
            f"{name} must be a whole number of at least {least}, not {value!r}.", argument=name
        )
    return value


def _seconds(name: str, value: float | timedelta | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ArgumentInvalid(
            f"{name} must be a number of seconds above 0, a timedelta or None, not {value!r}.", argument=name
        )
    return float(seconds)


E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], value: E | str, argument: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise ArgumentInvalid(
            f"{argument}={value!r} is no {kind.__name__}.", hint=f"Known: {known}.", argument=argument
        ) from None
