"""mistral.rs inside the replica's own process: keys and values grow with the requests, and no flag bounds them."""

from __future__ import annotations

from collections.abc import Mapping

from conduit.planner.engines.base import MIB, Load, Room, activation_bytes, context_bytes, full_request_bytes

_STEP_TOKENS = 2048
_FREE = 0.95  # the rest is lost between pieces that come and go


class MistralrsProfile:
    """See ``EngineProfile``."""

    name = "mistralrs"
    has_fraction = False

    def overheads(self, load: Load, room: Room) -> Mapping[str, int]:
        """See ``EngineProfile``."""
        tokens = min(_STEP_TOKENS, load.context_len)
        logits = (load.concurrency or 1) * load.spec.vocab_size * 8
        return {
            "context": context_bytes(room),
            "workspace": 128 * MIB,
            "activations": activation_bytes(load, tokens) + logits,
        }

    def kept_bytes(self, load: Load, concurrency: int) -> int:
        """See ``EngineProfile``; windows are not made use of."""
        return concurrency * full_request_bytes(load.kept, load.context_len)

    def tokens(self, load: Load, pool: int) -> int:
        """See ``EngineProfile``."""
        room = pool - (load.concurrency or 1) * (load.kept.state + load.kept.cross)
        return max(0, room // load.kept.token) if load.kept.token else 0

    def default_fraction(self, load: Load, room: Room) -> float:
        """See ``EngineProfile``."""
        del load, room
        return _FREE

    def pool(self, load: Load, room: Room, fraction: float) -> int:
        """See ``EngineProfile``; the fraction is that of what is free."""
        return int((room.total - room.taken) * fraction) - load.weights - self._beside(load, room)

    def fraction(self, load: Load, room: Room, pool: int) -> float:
        """See ``EngineProfile``."""
        return (pool + load.weights + self._beside(load, room)) / max(1, room.total - room.taken)

    def flags(self, load: Load, room: Room) -> tuple[str, ...]:
        """See ``EngineProfile``: it takes none."""
        del load, room
        return ()

    def _beside(self, load: Load, room: Room) -> int:
        return sum(self.overheads(load, room).values())
