"""Several models on the GPUs of one machine: the largest first, each with a share of the memory of its own.

A model lies on the first of its machine's GPUs, on as many as hold it together, so the first GPU decides. The
servers of one GPU have to be started one after the other, in the order of the plan: an engine may measure what is
free when it starts, and its flag is reckoned for that moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conduit.compute import Offering
from conduit.planner.engines import EngineProfile, profile
from conduit.planner.engines.base import GIB, Load, Room
from conduit.planner.estimate import load_of
from conduit.planner.request import ModelRequest
from conduit.planner.screening import parallel

_KEPT_BACK = 0.003  # of the GPU for each model: a fraction is rounded up to a step of 0.001


@dataclass(frozen=True)
class ModelPlan:
    """One model on each replica.

    Attributes:
        model_id: Which.
        engine: What runs it.
        tp: GPUs that hold it together.
        bytes_by_cause: Of one GPU: ``weights``, ``kv``, and what the engine takes beside them.
        share: All of these together as a share of the GPU's memory.
        memory_fraction: The engine's flag; None for an engine that has none.
        flags: Further flags, by which the engine keeps to what was reckoned.
        kv_tokens: Tokens for which the engine then has room, at least.
        taken_gib: What the models before it hold of the GPU when it starts.
        bounded: Why it may take less than is reckoned; None when that is exact.
    """

    model_id: str
    engine: str
    tp: int
    bytes_by_cause: Mapping[str, int]
    share: float
    memory_fraction: float | None
    flags: tuple[str, ...]
    kv_tokens: int
    taken_gib: float
    bounded: str | None

    @property
    def total_bytes(self) -> int:
        """All that it takes of one GPU."""
        return sum(self.bytes_by_cause.values())


@dataclass(frozen=True)
class Placement:
    """All models on one offering.

    Attributes:
        offering: The machine of one replica.
        models: In the order in which they are to be started.
        count: Machines, one for each replica.
        usd_per_hour: Of all machines.
        headroom_gib: What the load leaves free on the fullest GPU, before it is shared out among the models.
    """

    offering: Offering
    models: tuple[ModelPlan, ...]
    count: int
    usd_per_hour: float
    headroom_gib: float


@dataclass(frozen=True)
class Shortage:
    """Why the models do not fit on one GPU.

    Attributes:
        reason: With the numbers.
        needed_gib: What they need of one GPU.
    """

    reason: str
    needed_gib: float


@dataclass(frozen=True)
class _Need:
    request: ModelRequest
    rules: EngineProfile
    load: Load
    overheads: Mapping[str, int]
    pool: int

    @property
    def bytes(self) -> int:
        return self.load.weights + self.pool + sum(self.overheads.values())


def place(requests: Sequence[ModelRequest], offering: Offering, replicas: int = 1) -> Placement | Shortage:
    """Puts the models onto a machine of that offering, if its memory suffices.

    Where the engines' usual steps take too much, smaller ones are tried.

    Raises:
        ModelUnsupported: The size of a number type is not known.
    """
    placed = _place(requests, offering, replicas, tight=False)
    if isinstance(placed, Shortage):
        placed = _place(requests, offering, replicas, tight=True)
    return placed


def _place(
    requests: Sequence[ModelRequest], offering: Offering, replicas: int, *, tight: bool
) -> Placement | Shortage:
    total = int(offering.memory_gib * GIB)
    needs = _needs(requests, offering, total, tight=tight)
    needed = sum(need.bytes for need in needs)
    if needed > total * (1 - _KEPT_BACK * len(needs)):
        return _shortage(needs, needed, offering)
    spare = int(total * (1 - _KEPT_BACK * len(needs))) - needed
    models: list[ModelPlan] = []
    taken = 0
    for need in needs:
        planned = _planned(need, Room(total, taken), _extra(need, needs, spare, total))
        if isinstance(planned, Shortage):
            return planned
        models.append(planned)
        taken += planned.total_bytes
    if taken > total:
        return Shortage(
            f"the memory fractions that are set make {taken / GIB:.1f} GiB of its {offering.memory_gib:.1f} GiB",
            taken / GIB,
        )
    return Placement(offering, tuple(models), replicas, replicas * offering.usd_per_hour, spare / GIB)


def _needs(requests: Sequence[ModelRequest], offering: Offering, total: int, *, tight: bool) -> list[_Need]:
    needs = [_need(request, offering, total, tight=tight) for request in requests]
    needs.sort(key=lambda need: (-need.bytes, need.request.model_id))
    inside = [need for need in needs if not need.rules.has_fraction]
    for later in inside[1:]:  # models inside the replica's own process share its context
        needs[needs.index(later)] = _Need(
            later.request, later.rules, later.load, {**later.overheads, "context": 0}, later.pool
        )
    return needs


def _need(request: ModelRequest, offering: Offering, total: int, *, tight: bool) -> _Need:
    rules = profile(request.engine)
    load = load_of(
        request.spec,
        parallel(request, offering),
        request.max_model_len,
        request.max_model_concurrency,
        request.dtype,
        request.kv_dtype,
        request.quantization,
        engine=request.engine,
        tight=tight,
    )
    return _Need(
        request,
        rules,
        load,
        rules.overheads(load, Room(total)),
        rules.kept_bytes(load, request.max_model_concurrency),
    )


def _extra(need: _Need, needs: Sequence[_Need], spare: int, total: int) -> int:
    """What of the spare memory the pool gets: by its need, and no more than the engine itself would take."""
    if not need.rules.has_fraction or need.request.memory_fraction is not None:
        return 0
    pools = sum(n.pool for n in needs if n.rules.has_fraction and n.request.memory_fraction is None)
    of_spare = int(spare * 0.8 * need.pool / pools) if pools else 0
    if len(needs) > 1:
        return of_spare
    room = Room(total)
    own = need.rules.pool(need.load, room, need.rules.default_fraction(need.load, room))
    return max(0, min(of_spare, own - need.pool))


def _planned(need: _Need, room: Room, extra: int) -> ModelPlan | Shortage:
    request, rules, load = need.request, need.rules, need.load
    fraction = request.memory_fraction
    if not rules.has_fraction:
        fraction, pool = None, need.pool
    else:
        if fraction is None:
            fraction = rules.fraction(load, room, need.pool + extra)
        pool = rules.pool(load, room, fraction)
        if pool < need.pool:
            return Shortage(
                f"{request.model_id}: memory_fraction={fraction:g} leaves {max(0, pool) / GIB:.2f} GiB for "
                f"keys and values, and {need.pool / GIB:.2f} GiB are needed",
                need.bytes / GIB,
            )
    causes = {"weights": load.weights, "kv": pool, **need.overheads}
    return ModelPlan(
        model_id=request.model_id,
        engine=rules.name,
        tp=load.tp,
        bytes_by_cause=causes,
        share=sum(causes.values()) / room.total,
        memory_fraction=None if fraction is None else round(fraction, 3),
        flags=rules.flags(load, room),
        kv_tokens=rules.tokens(load, pool),
        taken_gib=room.taken / GIB,
        bounded=request.spec.bounded,
    )


def _shortage(needs: Sequence[_Need], needed: int, offering: Offering) -> Shortage:
    parts = ", ".join(
        f"{need.request.model_id} {need.bytes / GIB:.1f} GiB (weights {need.load.weights / GIB:.1f}, "
        f"kv {need.pool / GIB:.1f}, engine {sum(need.overheads.values()) / GIB:.1f})"
        for need in needs
    )
    of = f" on each of {offering.gpu_count} GPUs" if offering.gpu_count > 1 else ""
    return Shortage(
        f"{needed / GIB:.1f} GiB are needed{of}, and {offering.memory_gib:.1f} GiB are usable: {parts}",
        needed / GIB,
    )
