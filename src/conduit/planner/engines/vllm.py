"""vLLM: its pool is a share of the GPU's whole memory, less its weights and the peak of a trial run."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from conduit.planner.engines.base import GIB, MIB, TIGHT_STEP, Load, Room, activation_bytes, context_bytes

_OWN = 384 * MIB
_COMMUNICATION = {1: 0, 2: 1792 * MIB, 4: 2048 * MIB, 8: 2304 * MIB}  # as much as over NVLink
_SAMPLER = 40  # bytes of one logit in the sampler's trial run: 32 bits, sorted, indexed, summed up
_FRACTION = 0.9
_STEP = 0.001
_BLOCK = 16  # tokens
_WHOLE_PROMPT = 32768  # tokens
_STEP_TOKENS = 8192  # of one step on a large GPU, the most by default


class VllmProfile:
    """See ``EngineProfile``; the fraction is that of the whole memory of the GPU."""

    name = "vllm"
    has_fraction = True

    def overheads(self, load: Load, room: Room) -> Mapping[str, int]:
        """See ``EngineProfile``."""
        batched, requests = _limits(load, room)
        sampler = requests * load.spec.vocab_size * _SAMPLER
        return {
            "context": context_bytes(room),  # outside of its share
            "communication": _COMMUNICATION.get(load.tp, _COMMUNICATION[8]),
            "workspace": _OWN,
            "activations": max(activation_bytes(load, batched), sampler),
            "graphs": 128 * MIB + min(requests, 256) * 3 * MIB // 2,
        }

    def kept_bytes(self, load: Load, concurrency: int) -> int:
        """See ``EngineProfile``."""
        length = ceil(load.context_len / _BLOCK) * _BLOCK
        # Groups of layers are padded to the smallest of them, so that one block serves any.
        sizes = [group.layers for group in load.spec.groups if group.kind in ("full", "window")]
        padding = sum(ceil(n / min(sizes)) * min(sizes) for n in sizes) / sum(sizes) if sizes else 1.0
        return ceil(concurrency * padding * _request(load, length))

    def tokens(self, load: Load, pool: int) -> int:
        """See ``EngineProfile``."""
        kept = load.kept
        room = pool - (load.concurrency or 1) * (kept.state + kept.cross)
        return max(0, room // kept.token) // _BLOCK * _BLOCK if kept.token else 0

    def default_fraction(self, load: Load, room: Room) -> float:
        """See ``EngineProfile``."""
        del load, room
        return _FRACTION

    def pool(self, load: Load, room: Room, fraction: float) -> int:
        """See ``EngineProfile``."""
        return int(room.total * fraction) - load.weights - self._inside(load, room)

    def fraction(self, load: Load, room: Room, pool: int) -> float:
        """See ``EngineProfile``."""
        return ceil((pool + load.weights + self._inside(load, room)) / room.total / _STEP) * _STEP

    def flags(self, load: Load, room: Room) -> tuple[str, ...]:
        """See ``EngineProfile``."""
        return ("--max-num-batched-tokens", str(_limits(load, room)[0]))

    def _inside(self, load: Load, room: Room) -> int:
        return sum(size for cause, size in self.overheads(load, room).items() if cause != "context")


def _limits(load: Load, room: Room) -> tuple[int, int]:
    """Tokens of one step and requests at a time, by the GPU's memory where they are not given."""
    large = room.total >= 70 * GIB
    step = TIGHT_STEP if load.tight else _STEP_TOKENS if large else 2048
    if not load.tight:  # before its version 0.8 it took a whole prompt at once, unless that was very long
        step = max(step, min(load.context_len, _WHOLE_PROMPT))
    return max(step, load.concurrency or 0), load.concurrency or 256


def _request(load: Load, length: int) -> int:
    # A window's blocks are given back one step late, so a step's tokens come on top.
    kept = load.kept
    windows = sum(size * min(length, window + _STEP_TOKENS) for window, size in kept.windows)
    return kept.full * length + windows + kept.state + kept.cross
