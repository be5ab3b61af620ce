"""What a user asks for: the models, and how their replicas are to run. Values only; nothing is looked up here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args

from conduit.compute import GPUS, ComputeProvider, Constraint, provider_names
from conduit.errors import ArgumentInvalid, ModelNotFound
from conduit.lmlite.model_config import EngineName, ModelConfig, one_of, positive, whole

__all__ = ["LOCAL_IDLE_TIMEOUT_S", "ModelConfig", "Policy", "ResourceConfig", "Routing", "resource_config"]

LOCAL_IDLE_TIMEOUT_S = 900.0
_NOT_IN_KEY = ("name", "budget_usd", "routing", "max_usd_per_hour")

Policy = Literal["round_robin", "least_tokens", "prefix"]


@dataclass(frozen=True)
class Routing:
    """How requests are shared out among the replicas. It changes nothing of what runs.

    Attributes:
        policy: ``round_robin``; ``least_tokens``, to the replica with the least work left; or ``prefix``, which
            sends requests that begin alike to the same replica, where that beginning is still known.
        hedge_after_s: A request that has not begun to be answered by then is also sent to a second replica, and
            whichever begins first answers it; ``None`` for never.
    """

    policy: Policy = "round_robin"
    hedge_after_s: float | None = None

    def __post_init__(self) -> None:
        one_of("policy", self.policy, get_args(Policy))
        if self.hedge_after_s is not None:
            positive("hedge_after_s", self.hedge_after_s, "seconds")


@dataclass(frozen=True)
class ResourceConfig:
    """The whole configuration of one LMLite; ``resource_config`` makes and checks it."""

    models: tuple[ModelConfig, ...]
    provider: ComputeProvider | str
    gpu: GPUS | None
    num_gpus: int | None
    replicas: int
    constraints: tuple[Constraint, ...]
    budget_usd: float | None
    max_lifetime_s: float | None
    idle_timeout_s: float | None
    name: str | None
    routing: Routing = Routing()
    regions: tuple[str, ...] = ()
    max_usd_per_hour: float | None = None
    serverless: bool = False

    @property
    def nodes(self) -> int:
        """How many nodes its replicas are: a serverless endpoint is one, with as many workers."""
        return 1 if self.serverless else self.replicas

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The ids that a call may name."""
        return tuple(model.model_id for model in self.models)

    def model(self, model_id: str | None) -> ModelConfig:
        """The model of that id; without an id the only one there is that generates.

        Raises:
            ArgumentInvalid: No id, and several models.
            ModelNotFound: No model of that id here.
        """
        if model_id is None:
            able = [model for model in self.models if model.task == "generate"] or self.models
            if len(able) > 1:
                raise ArgumentInvalid(
                    f"model_id is missing, and this LMLite has {len(able)} models.",
                    hint=f"Give one of: {', '.join(model.model_id for model in able)}.",
                    argument="model_id",
                )
            return able[0]
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
        what = {name: value for name, value in self.spec().items() if name not in _NOT_IN_KEY}
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
    routing: Routing | Policy = "round_robin",
    regions: Sequence[str] = (),
    max_usd_per_hour: float | None = None,
    serverless: bool = False,
    engine: EngineName | None = None,
) -> ResourceConfig:
    """Checks an LMLite's arguments and puts them into one form; each model gets its engine.

    Raises:
        ArgumentInvalid: One of them is impossible; ``argument`` names it.
    """
    provider = _provider(compute_provider)
    default: EngineName = "mistralrs" if provider is ComputeProvider.LOCAL else "sglang"
    if not isinstance(routing, Routing):
        one_of("routing", routing, get_args(Policy))
        routing = Routing(routing)
    if num_gpus is not None:
        whole("num_gpus", num_gpus, least=1)
    if budget_usd is not None and not budget_usd > 0:
        raise ArgumentInvalid(f"budget_usd must be above 0, not {budget_usd!r}.", argument="budget_usd")
    return ResourceConfig(
        models=_models(models, engine or default),
        provider=provider,
        gpu=None if gpu is None else _member(GPUS, gpu, "gpu"),
        num_gpus=num_gpus,
        replicas=whole("replicas", replicas, least=1),
        constraints=tuple(_member(Constraint, c, "constraints") for c in constraints),
        budget_usd=budget_usd,
        max_lifetime_s=_seconds("max_lifetime", max_lifetime),
        idle_timeout_s=_seconds("idle_timeout", idle_timeout),
        name=name,
        routing=routing,
        regions=_regions(regions),
        max_usd_per_hour=(
            None
            if max_usd_per_hour is None
            else positive("max_usd_per_hour", max_usd_per_hour, "USD an hour")
        ),
        serverless=serverless,
    )


def _regions(value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(region, str) and region for region in value):
        raise ArgumentInvalid(
            f"regions must be a list of the provider's names of places, not {value!r}.", argument="regions"
        )
    return tuple(value)


def _models(
    models: str | ModelConfig | Sequence[str | ModelConfig], engine: EngineName
) -> tuple[ModelConfig, ...]:
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
    return tuple(replace(config, engine=config.engine or engine) for config in configs)


def _seconds(name: str, value: float | timedelta | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    return positive(name, seconds, "seconds (or a timedelta, or None)")


def _provider(value: ComputeProvider | str) -> ComputeProvider | str:
    if value in set(ComputeProvider):
        return ComputeProvider(value)
    if value not in (known := provider_names()):
        raise ArgumentInvalid(
            f"compute_provider={value!r} is no provider here.",
            hint=f"Known: {', '.join(known)}.",
            argument="compute_provider",
        )
    return value


E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], value: E | str, argument: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise ArgumentInvalid(
            f"{argument}={value!r} is no {kind.__name__}.", hint=f"Known: {known}.", argument=argument
        ) from None
