"""The whole simulated account, as the routes see it."""

from __future__ import annotations

from dataclasses import dataclass

from conduit.sim.runpod.events import Events
from conduit.sim.runpod.faults import Faults
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.pods.cloud import Cloud
from conduit.sim.runpod.serverless.fleet import Fleet
from conduit.sim.runpod.shelf import Shelf


@dataclass(frozen=True)
class State:
    """All that a route may need."""

    options: Options
    events: Events
    faults: Faults
    cloud: Cloud
    shelf: Shelf
    fleet: Fleet
