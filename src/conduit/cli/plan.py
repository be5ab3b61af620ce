"""``conduit plan``: what an LMLite would run on, for how much, and why nothing cheaper does. It starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from conduit import planner
from conduit import settings as settings_module
from conduit.cli.plan_source import configurations
from conduit.cli.render import command, table
from conduit.compute import ComputeProvider, Constraint, Offering, OfferingQuery
from conduit.errors import ProviderUnavailable
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.nodes import memory, planning
from conduit.planner import ModelPlan, ModelRequest, Plan, catalog
from conduit.planner.screening import PARALLEL
from conduit.settings import Settings

_GIB = 2**30
_NAMED = 3  # offerings with the same reason that are named
_CAUSES = {
    "weights": ("weights",),
    "kv": ("kv",),
    "steps": ("activations", "graphs"),
    "engine": ("context", "communication", "workspace"),
}
"""Columns of the table, and the planner's causes in each."""


def run(
    target: str,
    *,
    online: bool,
    gpu: str | None,
    num_gpus: int | None,
    region: Sequence[str],
    max_usd_per_hour: float | None,
    secure: bool,
    replicas: int | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Prints a plan for each LMLite; what is given here replaces what the file says."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        documents: list[dict[str, Any]] = []
        shown: list[tuple[dict[str, Any], Plan | dict[str, Any]]] = []
        for name, config in configurations(target).items():
            requests = planning.requests(config, settings, hub=online)
            head = {"name": name or config.name, "provider": str(config.provider)}
            if config.provider == ComputeProvider.LOCAL or not requests:
                here = _here(config, requests)
                documents.append(head | here)
                shown.append((head, here))
                continue
            found, source = _offerings(config, settings, online=online)
            constraints = {*config.constraints, *((Constraint.SECURE,) if secure else ())}
            made = planner.plan(
                requests,
                found,
                tuple(sorted(constraints)),
                gpu=gpu or config.gpu,
                num_gpus=num_gpus or config.num_gpus,
                regions=region or config.regions,
                max_usd_per_hour=max_usd_per_hour or config.max_usd_per_hour,
                replicas=replicas or config.replicas,
            )
            documents.append(head | {"prices": source} | plan_document(made))
            shown.append((head | {"prices": source}, made))

        def show(out: Console) -> None:
            for head, made in shown:
                (
                    show_plan(out, head, made, show_all)
                    if isinstance(made, Plan)
                    else _show_here(out, head, made)
                )

        screen.result({"plans": documents}, show)


def _offerings(config: ResourceConfig, settings: Settings, *, online: bool) -> tuple[list[Offering], str]:
    if online:
        return _asked(str(config.provider), settings), f"asked from {config.provider} now"
    if config.provider != ComputeProvider.RUNPOD:
        raise ProviderUnavailable(
            f"What {config.provider} has is not in the catalog that ships with Conduit.",
            hint="Plan with --online, which asks it.",
        )
    return catalog.offerings(), f"list prices of {catalog.offerings_dated()}"


def _asked(name: str, settings: Settings) -> list[Offering]:
    from conduit.compute import provider
    from conduit.lmlite.portal import portal

    async def ask() -> list[Offering]:
        made = provider(name, settings)
        try:
            return await made.offerings(OfferingQuery(gpu_counts=PARALLEL))
        finally:
            await made.aclose()

    return portal().call(ask)


def _here(config: ResourceConfig, requests: Sequence[ModelRequest]) -> dict[str, Any]:
    """What replicas on this machine need of its memory."""
    estimates = {request.model_id: _on_this_machine(request) for request in requests}
    needed = config.replicas * sum(e.weights_bytes + e.kv_bytes for e in estimates.values())
    available = memory.available_bytes()
    return {
        "replicas": config.replicas,
        "usd_per_hour": 0.0,
        "needed_bytes": needed,
        "available_bytes": available,
        "fits": needed <= available,
        "models": [
            {"model_id": name, "weights_bytes": e.weights_bytes, "kv_bytes": e.kv_bytes}
            for name, e in estimates.items()
        ],
    }


def _on_this_machine(request: ModelRequest) -> planner.Estimate:
    return planner.estimate(
        request.spec,
        engine=request.engine,
        context_len=request.max_model_len,
        concurrency=request.max_model_concurrency,
        dtype=memory.cpu_dtype(request.dtype) if request.engine == "mistralrs" else request.dtype,
    )


def plan_document(made: Plan) -> dict[str, Any]:
    """A plan as plain values."""
    return {
        "offering": asdict(made.offering),
        "replicas": made.count,
        "usd_per_hour": made.usd_per_hour,
        "headroom_gib": made.chosen.headroom_gib,
        "models": [asdict(model) for model in made.models],
        "candidates": [
            {"offering": asdict(c.offering), "usd_per_hour": c.usd_per_hour, "headroom_gib": c.headroom_gib}
            for c in made.candidates
        ],
        "rejected": [{"offering": asdict(r.offering), "reason": r.reason} for r in made.rejected],
    }


def show_plan(out: Console, head: dict[str, Any], made: Plan, show_all: bool = False) -> None:
    """Prints a plan: the machine, each model's share of it, and what else there would be."""
    named = f"{head['name']}: " if head["name"] else ""
    replicas = f"{made.count} replicas, each on" if made.count > 1 else "on"
    out.print(
        f"{named}{replicas} {planner.label(made.offering)}, {made.usd_per_hour:.2f} USD/h ({head['prices']})",
        soft_wrap=True,
    )
    numbers = (*_CAUSES, "GiB", "share", "tokens")
    rows = table("  model", *numbers, right=numbers)
    for model in made.models:
        rows.add_row(
            f"  {model.model_id.rpartition('/')[2]}",
            *(
                f"{sum(model.bytes_by_cause.get(c, 0) for c in causes) / _GIB:.2f}"
                for causes in _CAUSES.values()
            ),
            f"{model.total_bytes / _GIB:.2f}",
            f"{model.share:.1%}",
            f"{model.kv_tokens:,}",
        )
    out.print(rows)
    for model in made.models:
        out.print(f"  {model.model_id}: {_flags(model)}", soft_wrap=True)
    rest = made.offering.memory_gib - sum(model.total_bytes for model in made.models) / _GIB
    out.print(f"  {rest:.2f} of {made.offering.memory_gib:.2f} GiB stay free on each GPU", soft_wrap=True)
    _show_others(out, made, show_all)


def _flags(model: ModelPlan) -> str:
    fraction = {"sglang": "--mem-fraction-static", "vllm": "--gpu-memory-utilization"}.get(model.engine)
    words = [] if fraction is None else [fraction, f"{model.memory_fraction:g}"]
    words += model.flags
    if model.tp > 1:
        words += ["--tp", str(model.tp)]
    noted = f" ({model.bounded})" if model.bounded else ""
    return f"{model.engine} {' '.join(words)}".rstrip() + noted


def _show_others(out: Console, made: Plan, show_all: bool) -> None:
    further = made.candidates[1:] if show_all else made.candidates[1:4]
    if further:
        others = ", ".join(f"{planner.label(c.offering)} {c.usd_per_hour:.2f}" for c in further)
        out.print(f"If it is sold out: {others} USD/h", soft_wrap=True)
    reasons: dict[str, list[str]] = {}
    for one in made.rejected if show_all else made.cheaper:
        named = f"{one.name} {one.offering.usd_per_hour * made.count:.2f}"
        reasons.setdefault(one.reason, []).append(named)
    if reasons:
        out.print("Rejected:" if show_all else "Cheaper, and why not:")
    for reason, names in reasons.items():
        listed = names if len(names) <= _NAMED else [*names[:_NAMED], f"{len(names) - _NAMED} more"]
        out.print(f"  {', '.join(listed)}: {reason}", soft_wrap=True)


def _show_here(out: Console, head: dict[str, Any], here: dict[str, Any]) -> None:
    named = f"{head['name']}: " if head["name"] else ""
    out.print(
        f"{named}{here['replicas']} x on this machine, {here['needed_bytes'] / _GIB:.2f} GiB of memory needed, "
        f"{here['available_bytes'] / _GIB:.2f} available: {'it fits' if here['fits'] else 'it does not fit'}",
        soft_wrap=True,
    )
    rows = table("  model", "weights", "kv", right=("weights", "kv"))
    for model in here["models"]:
        weights, kv = model["weights_bytes"] / _GIB, model["kv_bytes"] / _GIB
        rows.add_row(f"  {model['model_id']}", f"{weights:.3f}", f"{kv:.3f}")
    out.print(rows)
