"""The enumerations of the public API, under the module name that users' documents import them from."""

from __future__ import annotations

from conduit.compute import GPUS, ComputeProvider, Constraint

__all__ = ["GPUS", "ComputeProvider", "Constraint"]
