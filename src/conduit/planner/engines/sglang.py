"""SGLang: its pool is what is free after the weights, less the share of what was free before that is to stay free.

The rules are those of its ``server_args`` and ``pool_configurator``, version 0.5.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from conduit.planner.engines.base import GIB, MIB, TIGHT_STEP, Load, Room, activation_bytes, context_bytes

_COMMUNICATION = {1: 0, 2: int(1.2 * GIB), 4: 2 * GIB, 8: int(2.2 * GIB)}
_WORKSPACE = 448 * MIB  # the attention kernels' buffers (384 MiB) and cuBLAS's
_LOADING = 0.01  # what loading leaves behind, as a share of the weights
_WINDOWS = 0.8  # --swa-full-tokens-ratio
_STATES = 0.9  # --mamba-full-memory-ratio
_STATES_A_REQUEST = 4  # with its prefix cache on
_LARGEST_STEP = 16384  # tokens of one prefill step on the largest GPUs
_TIGHT_GRAPH = 8  # requests; larger batches run without a graph
_STEP = 0.001  # of the flag


class SglangProfile:
    """See ``EngineProfile``; the fraction is that of the memory which is free when the server starts."""

    name = "sglang"
    has_fraction = True

    def overheads(self, load: Load, room: Room) -> Mapping[str, int]:
        """See ``EngineProfile``."""
        chunk, batch = _limits(load, room)
        logits = (load.concurrency or batch) * load.spec.vocab_size * 8  # in 16 bits, in 32, and sorted
        return {
            "context": context_bytes(room),
            "communication": _communication(load.tp),
            "workspace": _WORKSPACE,
            "activations": activation_bytes(load, chunk) + logits,
            "graphs": 128 * MIB + batch * 2 * MIB + _prefill_graphs(load, chunk),
        }

    def kept_bytes(self, load: Load, concurrency: int) -> int:
        """See ``EngineProfile``."""
        chunk = TIGHT_STEP if load.tight else _LARGEST_STEP
        longest = max((window for window, _ in load.kept.windows), default=0)
        # Two pools in a fixed ratio: one for all tokens, a smaller one for those in windows.
        in_windows = min(load.context_len, longest + chunk) / _WINDOWS if load.kept.full and longest else 0.0
        of_request = ceil(self._token(load) * max(load.context_len, in_windows)) + load.kept.cross
        tokens = of_request * concurrency
        states = _STATES_A_REQUEST * concurrency * load.kept.state
        if not states:
            return tokens
        # The pool is divided in a fixed ratio, whichever part the load needs more of.
        return ceil(max(tokens * (1 + _STATES), states * (1 + _STATES) / _STATES))

    def tokens(self, load: Load, pool: int) -> int:
        """See ``EngineProfile``."""
        of_tokens = pool / (1 + _STATES) if load.kept.state else float(pool)
        return max(0, int(of_tokens / load.kept.token)) if load.kept.token else 0

    def default_fraction(self, load: Load, room: Room) -> float:
        """See ``EngineProfile``; its own rule, in which the memory counts in MiB."""
        chunk, batch = _defaults(load, room)
        reserved = 512 + max(chunk, 2048) * 1.5 + batch * 2 + load.tp / 8 * 1024
        return max(_STEP, round(1 - reserved / (room.total / MIB), 3))

    def pool(self, load: Load, room: Room, fraction: float) -> int:
        """See ``EngineProfile``."""
        return int(_free(load, room) * fraction - load.weights * (1 + _LOADING))

    def fraction(self, load: Load, room: Room, pool: int) -> float:
        """See ``EngineProfile``."""
        share = (pool + load.weights * (1 + _LOADING)) / max(1, _free(load, room))
        return ceil(share / _STEP) * _STEP

    def flags(self, load: Load, room: Room) -> tuple[str, ...]:
        """See ``EngineProfile``."""
        chunk, batch = _limits(load, room)
        line = ("--chunked-prefill-size", str(chunk), "--cuda-graph-max-bs-decode", str(batch))
        return (*line, "--disable-prefill-cuda-graph") if load.tight else line

    def _token(self, load: Load) -> float:
        kept = load.kept
        return kept.full + _WINDOWS * kept.windowed if kept.full else float(kept.windowed)


def _prefill_graphs(load: Load, chunk: int) -> int:
    """Of the graphs for steps of up to ``chunk`` tokens: 30 sizes up to 512, then one for each 128 more."""
    return 0 if load.tight else (30 + max(0, chunk - 512) // 128) * 8 * MIB


def _communication(tp: int) -> int:
    return _COMMUNICATION.get(tp, _COMMUNICATION[8])


def _free(load: Load, room: Room) -> int:
    return room.total - room.taken - context_bytes(room) - _communication(load.tp)


def _defaults(load: Load, room: Room) -> tuple[int, int]:
    """Tokens of one prefill step and requests in the largest graph, by the GPU's memory."""
    gib = room.total / GIB
    few = load.tp < 4
    for below, chunk, small, large in (
        (20, 2048, 8, 8), (35, 2048, 24, 80), (60, 4096, 32, 160), (90, 8192, 256, 512), (160, 8192, 256, 512),
    ):  # fmt: skip
        if gib < below:
            return chunk, small if few else large
    return 16384, 512


def _limits(load: Load, room: Room) -> tuple[int, int]:
    """The same as they are passed to it: no more requests than may run."""
    chunk, batch = (TIGHT_STEP, _TIGHT_GRAPH) if load.tight else _defaults(load, room)
    return chunk, min(batch, load.concurrency or batch)
