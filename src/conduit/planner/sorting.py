"""Every offering is either a placement or rejected with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conduit.compute import Offering
from conduit.planner.placement import Placement, Shortage, place
from conduit.planner.request import ModelRequest, Wishes
from conduit.planner.screening import unable, unwanted

_BY_AVAILABILITY = {"high": 0, "medium": 1, "low": 2, "unknown": 3, "none": 4}


@dataclass(frozen=True)
class Rejected:
    """An offering that is not used.

    Attributes:
        offering: Which.
        reason: With the numbers.
        needed_gib: What the models need of one of its GPUs, where memory is the reason.
    """

    offering: Offering
    reason: str
    needed_gib: float | None = None

    @property
    def name(self) -> str:
        """The offering in few words."""
        return label(self.offering)


def label(offering: Offering) -> str:
    """An offering in few words."""
    count = f"{offering.gpu_count} x " if offering.gpu_count > 1 else ""
    where = f", {offering.region}" if offering.region else ""
    return f"{count}{offering.name} ({'secure' if offering.secure else 'community'}{where})"


def sort_out(
    models: Sequence[ModelRequest], offerings: Sequence[Offering], wishes: Wishes
) -> tuple[tuple[Placement, ...], tuple[Rejected, ...]]:
    """The placements by price, availability and headroom; the rejected by price."""
    placements: list[Placement] = []
    rejected: list[Rejected] = []
    for offering in offerings:
        reason = unwanted(offering, wishes) or unable(offering, models)
        if reason is not None:
            rejected.append(Rejected(offering, reason))
            continue
        placed = place(models, offering, wishes.replicas)
        if isinstance(placed, Shortage):
            rejected.append(Rejected(offering, placed.reason, placed.needed_gib))
        else:
            placements.append(placed)
    placements.sort(key=_rank)
    rejected.sort(key=lambda r: (r.offering.usd_per_hour, r.name))
    return tuple(placements), tuple(rejected)


def _rank(placement: Placement) -> tuple[float, int, float, str]:
    offering = placement.offering
    return (
        placement.usd_per_hour,
        _BY_AVAILABILITY[offering.availability],
        -placement.headroom_gib,
        label(offering),
    )
