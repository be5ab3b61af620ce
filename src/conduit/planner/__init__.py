"""The planner: from a model's facts to bytes, by pure functions over frozen values.

It reckons full attention, multi-head or with grouped queries. What it does not know it refuses.
"""

from __future__ import annotations

from conduit.planner.estimate import Estimate, estimate
from conduit.planner.model_spec import ModelSpec

__all__ = ["Estimate", "ModelSpec", "estimate"]
