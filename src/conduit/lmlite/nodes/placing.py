"""What a replica may run on: the plan over what its provider has on sale now, as candidates for provisioning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from conduit import planner
from conduit.compute import OfferingQuery
from conduit.errors import ArgumentInvalid
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes import planning
from conduit.lmlite.nodes.model_files import ModelFiles
from conduit.lmlite.nodes.server_config import server_config
from conduit.planner import Placement, Plan
from conduit.planner.screening import PARALLEL
from conduit.provisioning import Candidate, Site, off_loop

Located = Sequence[tuple[ModelConfig, ModelFiles]]


@dataclass(frozen=True)
class Placed:
    """Where replicas may run.

    Attributes:
        candidates: The ways to run one replica, best first.
        plan: Of the first, as JSON values for the records; None where nothing was to be planned.
    """

    candidates: tuple[Candidate, ...]
    plan: Mapping[str, Any] | None = None


async def place(site: Site, config: ResourceConfig, models: Located) -> Placed:
    """The ways to run a replica now.

    Raises:
        NothingFits: Nothing on sale holds the models.
        ArgumentInvalid: The machine cannot read a model's folder, or has no such GPU.
        ModelUnsupported: A model's memory cannot be reckoned.
        ComputeError: The provider does not say what it has.
    """
    server = server_config(config, models, site.settings, here=site.provider.caps.this_machine)
    made = await plan(site, config)
    if made is None:
        return Placed((Candidate(server),))
    candidates = [
        Candidate(
            _with_shares(server, placement),
            placement.offering,
            serverless=config.serverless,
            max_workers=config.replicas if config.serverless else 1,
        )
        for placement in made.candidates
    ]
    return Placed(tuple(candidates), asdict(made.chosen))


async def plan(site: Site, config: ResourceConfig) -> Plan | None:
    """The plan over what is on sale now; None where there is but one machine to choose.

    Raises:
        NothingFits: Nothing on sale holds the models.
        ArgumentInvalid: The provider has not what is asked for: such a GPU, regions, endpoints that scale to zero.
        ComputeError: The provider does not say what it has.
    """
    if config.serverless and not site.provider.caps.serverless:
        raise ArgumentInvalid(
            f"{site.provider.kind} has no endpoints that scale to zero.",
            hint="Leave serverless out, or use ComputeProvider.RUNPOD.",
            argument="serverless",
        )
    if config.regions and not site.provider.caps.gpus:
        raise ArgumentInvalid(
            f"{site.provider.kind} has but this place: regions={list(config.regions)} names others.",
            hint="Leave regions out, or rent machines: compute_provider=ComputeProvider.RUNPOD.",
            argument="regions",
        )
    if not site.provider.caps.gpus or all(model.attached for model in config.models):
        return None
    counts = PARALLEL if config.num_gpus is None else (config.num_gpus,)
    offerings = await site.provider.offerings(OfferingQuery(gpu_counts=counts, regions=config.regions))
    if not offerings and config.gpu is None and not site.provider.caps.costs:
        _check_runs_without_gpu(site, config)
        return None
    asked = await off_loop(planning.requests, config, site.settings, hub=True)
    return planner.plan(
        asked,
        offerings,
        config.constraints,
        gpu=config.gpu,
        num_gpus=config.num_gpus,
        regions=config.regions,
        max_usd_per_hour=config.max_usd_per_hour,
        replicas=config.replicas,
    )


def _check_runs_without_gpu(site: Site, config: ResourceConfig) -> None:
    for model in config.models:
        if model.engine in ("sglang", "vllm") and model.engine_command is None:
            raise ArgumentInvalid(
                f"{site.provider.kind} shows no GPU, and {model.engine} needs one to run {model.model_id}.",
                hint=f'On processors alone: ModelConfig("{model.model_id}", engine="mistralrs").',
                argument="engine",
            )


def _with_shares(server: Mapping[str, Any], placement: Placement) -> dict[str, Any]:
    """The server's models in the order of the plan, each with its share of the memory."""
    planned = {model.model_id: model for model in placement.models}
    place = {model.model_id: number for number, model in enumerate(placement.models)}
    models = []
    for model in server["models"]:
        own = planned.get(model["model_id"])
        share = (
            {}
            if own is None
            else {
                "memory_fraction": own.memory_fraction,
                "tensor_parallel": own.tp,
                "engine_args": [*own.flags, *model["engine_args"]],
            }
        )
        models.append(model | share)
    models.sort(key=lambda model: place.get(model["model_id"], len(place)))
    return {**server, "models": models}
