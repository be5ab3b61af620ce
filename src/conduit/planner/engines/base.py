"""The interface of an engine's profile, and the values it calculates with. All bytes are those of one GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from conduit.planner.model_spec import ModelSpec

GIB = 2**30
MIB = 2**20

TIGHT_STEP = 1024
"""Tokens of one step of an engine that is to save memory."""


@dataclass(frozen=True)
class Kept:
    """Bytes that are kept of requests.

    Attributes:
        full: Of one token, in the layers that keep all tokens.
        windows: Of one token in layers that keep a window: length of the window and bytes.
        state: Of one request, however long.
        cross: Of the image or source text that one request attends to.
    """

    full: int
    windows: tuple[tuple[int, int], ...]
    state: int
    cross: int = 0

    @property
    def windowed(self) -> int:
        """Of one token in all layers that keep a window."""
        return sum(size for _, size in self.windows)

    @property
    def token(self) -> int:
        """Of one token in all layers while no window is full."""
        return self.full + self.windowed


@dataclass(frozen=True)
class Load:
    """What one engine is to run on one GPU of ``tp``.

    Attributes:
        spec: The model.
        tp: GPUs that hold the model together.
        weights: Bytes of the weights.
        kept: Bytes that are kept of requests.
        context_len: Most tokens of one request.
        concurrency: Most requests at a time; None for the engine's own limit.
        tight: It is told to work in smaller steps than by default, which costs time and saves memory.
    """

    spec: ModelSpec
    tp: int
    weights: int
    kept: Kept
    context_len: int
    concurrency: int | None
    tight: bool = False


@dataclass(frozen=True)
class Room:
    """The memory of one GPU.

    Attributes:
        total: Usable bytes of the GPU.
        taken: What other processes hold of it when the engine starts.
    """

    total: int
    taken: int = 0


class EngineProfile(Protocol):
    """How one engine divides a GPU's memory."""

    @property
    def name(self) -> str:
        """Its name in ``ModelConfig``."""
        ...

    @property
    def has_fraction(self) -> bool:
        """Whether it takes a memory fraction."""
        ...

    def overheads(self, load: Load, room: Room) -> Mapping[str, int]:
        """Bytes beside weights, keys and values, by cause."""
        ...

    def kept_bytes(self, load: Load, concurrency: int) -> int:
        """Bytes of the pool that holds that many requests at full length."""
        ...

    def tokens(self, load: Load, pool: int) -> int:
        """Tokens for which a pool has room however short the requests are, so that no window is full."""
        ...

    def default_fraction(self, load: Load, room: Room) -> float:
        """The memory fraction when none is given."""
        ...

    def pool(self, load: Load, room: Room, fraction: float) -> int:
        """Bytes of the pool at that fraction; below 0 where not even the weights have room."""
        ...

    def fraction(self, load: Load, room: Room, pool: int) -> float:
        """The least fraction that makes a pool of that size; the inverse of ``pool``."""
        ...

    def flags(self, load: Load, room: Room) -> tuple[str, ...]:
        """Flags by which the engine keeps to the overheads that are reckoned with."""
        ...


def context_bytes(room: Room) -> int:
    """Of one process's CUDA context: 0.38 GiB on a card of 24 GiB, 0.7 on one of 80."""
    return 256 * MIB + int(0.0056 * room.total)


def activation_bytes(load: Load, tokens: int) -> int:
    """Of one forward pass over that many tokens: the vectors of the widest part of one layer, in 16 bits."""
    spec = load.spec
    of_token = 3 * spec.widest / load.tp + 6 * spec.hidden_size
    if spec.experts is not None:
        of_token += spec.experts.per_token * spec.hidden_size  # each expert's answer, before they are summed
    return int(tokens * of_token * 2)


def full_request_bytes(kept: Kept, context_len: int) -> int:
    """Of one request at full length where windows are not made use of."""
    return kept.token * context_len + kept.state + kept.cross
