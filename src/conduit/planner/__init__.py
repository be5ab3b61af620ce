"""The planner: from models' facts and what is on sale to bytes, flags and money, by pure functions over values.

What it does not know it refuses, or reckons so that capacity comes out too low. It opens nothing but the catalogs
that ship with it.
"""

from __future__ import annotations

from conduit.planner.estimate import Estimate, estimate
from conduit.planner.model_spec import ModelSpec
from conduit.planner.placement import ModelPlan, Placement
from conduit.planner.plan import Plan, plan
from conduit.planner.request import ModelRequest
from conduit.planner.sorting import Rejected, label

__all__ = [
    "Estimate",
    "ModelPlan",
    "ModelRequest",
    "ModelSpec",
    "Placement",
    "Plan",
    "Rejected",
    "estimate",
    "label",
    "plan",
]
