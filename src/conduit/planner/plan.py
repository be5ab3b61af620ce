"""Which offering runs the models for the least money, what else would, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conduit.compute import Constraint, Offering
from conduit.errors import ArgumentInvalid, NothingFits
from conduit.planner.changes import smallest_changes
from conduit.planner.placement import ModelPlan, Placement
from conduit.planner.request import ModelRequest, Wishes
from conduit.planner.sorting import Rejected, sort_out


@dataclass(frozen=True)
class Plan:
    """The models on the cheapest offering that holds them.

    Attributes:
        candidates: All placements that fit, the cheapest first: what to try when the first is sold out.
        rejected: All other offerings with their reason, the cheapest first.
    """

    candidates: tuple[Placement, ...]
    rejected: tuple[Rejected, ...]

    @property
    def chosen(self) -> Placement:
        """The cheapest."""
        return self.candidates[0]

    @property
    def offering(self) -> Offering:
        """The machine of one replica."""
        return self.chosen.offering

    @property
    def models(self) -> tuple[ModelPlan, ...]:
        """In the order in which they are to be started."""
        return self.chosen.models

    @property
    def count(self) -> int:
        """Machines, one for each replica."""
        return self.chosen.count

    @property
    def usd_per_hour(self) -> float:
        """Of all machines."""
        return self.chosen.usd_per_hour

    @property
    def cheaper(self) -> tuple[Rejected, ...]:
        """The rejected offerings that cost less than the chosen one."""
        return tuple(r for r in self.rejected if r.offering.usd_per_hour < self.offering.usd_per_hour)


def plan(
    models: Sequence[ModelRequest],
    offerings: Sequence[Offering],
    constraints: Sequence[Constraint] = (),
    *,
    gpu: str | None = None,
    num_gpus: int | None = None,
    regions: Sequence[str] = (),
    max_usd_per_hour: float | None = None,
    replicas: int = 1,
) -> Plan:
    """Plans replicas that each run all the models, by price, then availability, then headroom.

    Args:
        models: With the load of one replica.
        offerings: What is on sale.
        constraints: What a placement must satisfy.
        gpu: A ``GPUS`` value or the provider's own id.
        num_gpus: GPUs of one machine.
        regions: The provider's names of places.
        max_usd_per_hour: Of all replicas together.
        replicas: Machines.

    Raises:
        NothingFits: No offering does; the hint tells the smallest changes with which one would.
        ArgumentInvalid: No model is given, or none of the offerings has that GPU.
        ModelUnsupported: A model's memory cannot be reckoned.
    """
    if not models:
        raise ArgumentInvalid("A plan needs at least one model.", argument="models")
    if not offerings:
        raise NothingFits(
            "Nothing is on sale.", hint="Ask the provider again later, or name another provider."
        )
    wishes = Wishes(tuple(constraints), gpu, num_gpus, tuple(regions), max_usd_per_hour, replicas)
    known = {name.lower() for o in offerings for name in (o.name, o.gpu)}
    if gpu is not None and gpu.lower() not in known:
        raise ArgumentInvalid(
            f"No offering has the GPU {gpu!r}.",
            hint=f"On sale: {', '.join(sorted({o.name for o in offerings}))}.",
            argument="gpu",
        )
    placements, rejected = sort_out(models, offerings, wishes)
    if not placements:
        raise _nothing_fits(models, offerings, wishes, rejected)
    return Plan(placements, rejected)


def _nothing_fits(
    models: Sequence[ModelRequest],
    offerings: Sequence[Offering],
    wishes: Wishes,
    rejected: Sequence[Rejected],
) -> NothingFits:
    hint = smallest_changes(models, offerings, wishes)
    ids = ", ".join(request.model_id for request in models)
    short = [r for r in rejected if r.needed_gib is not None]
    others = list(dict.fromkeys(r.reason for r in rejected if r.needed_gib is None))[:4]
    if not short:
        return NothingFits(
            f"None of {len(offerings)} offerings can be used for {ids}: {'; '.join(others)}.", hint=hint
        )
    nearest = min(short, key=lambda r: (r.needed_gib or 0.0) - r.offering.memory_gib)
    return NothingFits(
        f"None of {len(offerings)} offerings holds {ids}. The nearest is {nearest.name}: {nearest.reason}."
        f"{' Others are out of the question: ' + '; '.join(others) + '.' if others else ''}",
        hint=hint,
        needed_gib=nearest.needed_gib,
        largest_gib=max(r.offering.memory_gib for r in short),
    )
