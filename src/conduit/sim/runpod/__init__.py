"""A simulator of RunPod's REST API v2 whose pods are processes of this machine.

It answers as the API does, also when things go wrong, and takes faults to inject. Nothing of RunPod's is in it, and
nothing that it rents costs anything.
"""

from __future__ import annotations

from conduit.sim.runpod.faults import Fault
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.simulator import Simulator

__all__ = ["Fault", "Options", "Simulator"]
