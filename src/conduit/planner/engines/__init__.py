"""What each engine takes beside weights, keys and values, and what its memory flag means."""

from __future__ import annotations

from conduit.errors import ArgumentInvalid
from conduit.planner.engines.base import EngineProfile
from conduit.planner.engines.mistralrs import MistralrsProfile
from conduit.planner.engines.sglang import SglangProfile
from conduit.planner.engines.vllm import VllmProfile

__all__ = ["EngineProfile", "profile"]

_PROFILES: dict[str, EngineProfile] = {
    "sglang": SglangProfile(),
    "vllm": VllmProfile(),
    "mistralrs": MistralrsProfile(),
}


def profile(engine: str) -> EngineProfile:
    """The profile of an engine by its name, in small letters or large ones.

    Raises:
        ArgumentInvalid: There is none.
    """
    found = _PROFILES.get(engine.lower())
    if found is None:
        raise ArgumentInvalid(
            f"The planner does not know what the engine {engine!r} takes.",
            hint=f"Known: {', '.join(_PROFILES)}.",
            argument="engine",
        )
    return found
