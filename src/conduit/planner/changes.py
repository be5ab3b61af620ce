"""When nothing fits: the smallest changes with which something would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from conduit.compute import Offering
from conduit.planner.placement import Placement
from conduit.planner.request import ModelRequest, Wishes
from conduit.planner.sorting import label, sort_out

_SHORTEST = 256  # tokens; a request that may be no longer is of no use


def smallest_changes(models: Sequence[ModelRequest], offerings: Sequence[Offering], wishes: Wishes) -> str:
    """A hint: a shorter length, fewer requests, another machine; or that nothing on sale would do."""

    def fits(changed: Sequence[ModelRequest]) -> bool:
        return bool(sort_out(changed, offerings, wishes)[0])

    largest = max(range(len(models)), key=lambda i: models[i].max_model_len * models[i].max_model_concurrency)
    found = [
        change
        for change in (
            _shorter(models, largest, fits),
            _fewer(models, largest, fits),
            _elsewhere(models, offerings, wishes),
        )
        if change is not None
    ]
    if not found:
        return "Choose a smaller model, or one that is quantized: no change of limits makes it fit."
    return f"{'; or '.join(found)}."


def _shorter(
    models: Sequence[ModelRequest], which: int, fits: Callable[[Sequence[ModelRequest]], bool]
) -> str | None:
    name = "max_model_len"
    most = _most(models, which, name, min(_SHORTEST, models[which].max_model_len), fits)
    return None if most is None else f"{name}={most}{_of(models, which)}"


def _fewer(
    models: Sequence[ModelRequest], which: int, fits: Callable[[Sequence[ModelRequest]], bool]
) -> str | None:
    name = "max_model_concurrency"
    most = _most(models, which, name, 1, fits)
    return None if most is None else f"{name}={most}{_of(models, which)}"


def _most(
    models: Sequence[ModelRequest],
    which: int,
    name: str,
    least: int,
    fits: Callable[[Sequence[ModelRequest]], bool],
) -> int | None:
    """The largest value of a limit with which something fits; None when not even the least does."""

    def with_value(value: int) -> list[ModelRequest]:
        limit: dict[str, Any] = {name: value}
        return [replace(m, **limit) if i == which else m for i, m in enumerate(models)]

    if not fits(with_value(least)):
        return None
    low, high = least, getattr(models[which], name)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(with_value(middle)) else (low, middle)
    return int(low)


def _of(models: Sequence[ModelRequest], which: int) -> str:
    return f" for {models[which].model_id}" if len(models) > 1 else ""


def _elsewhere(models: Sequence[ModelRequest], offerings: Sequence[Offering], wishes: Wishes) -> str | None:
    """The cheapest machine that would do if one of the wishes, or all of them, were given up."""
    given_up = {
        "gpu": replace(wishes, gpu=None, num_gpus=None),
        "max_usd_per_hour": replace(wishes, max_usd_per_hour=None),
        "constraints": replace(wishes, constraints=()),
        "regions": replace(wishes, regions=()),
        "all": Wishes(replicas=wishes.replicas),
    }
    for name, fewer in given_up.items():
        if fewer == wishes:
            continue
        placements, _ = sort_out(models, offerings, fewer)
        if placements:
            return _named(name, placements[0])
    return None


def _named(wish: str, placement: Placement) -> str:
    what = {
        "gpu": "another GPU",
        "max_usd_per_hour": "a higher maximum price",
        "constraints": "fewer constraints",
        "regions": "another region",
        "all": "fewer wishes",
    }[wish]
    return f"{what}: {label(placement.offering)} at {placement.usd_per_hour:.2f} USD/h holds it"
