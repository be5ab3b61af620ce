"""What is asked of providers for one replica: where it may run, how long, and what it may cost. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conduit.compute import Offering


@dataclass(frozen=True)
class Candidate:
    """One way to run a replica; of several the first that can be had is taken.

    Attributes:
        config: The server's configuration, as ``NodeSpec.config``.
        offering: The machine; None where the provider has but one.
        image: Container image of the server; None for the provider's default.
        serverless: An endpoint that scales to zero, as ``NodeSpec.serverless``.
        max_workers: Of a serverless endpoint.
    """

    config: Mapping[str, Any]
    offering: Offering | None = None
    image: str | None = None
    serverless: bool = False
    max_workers: int = 1

    @property
    def label(self) -> str:
        """The machine in words, for messages."""
        if self.offering is None:
            return "this machine"
        place = f" in {self.offering.region}" if self.offering.region else ""
        return f"{self.offering.gpu_count} x {self.offering.name}{place}"


@dataclass(frozen=True)
class Terms:
    """What the nodes of a deployment may take.

    Attributes:
        max_lifetime_s: After which a node ends; None for the longest that is allowed, or paid for.
        deployment_cap_usd: For all nodes of the deployment; None for no cap.
        owner_cap_usd: For all nodes of the owner; None for no cap.
        nodes: How many nodes are about to be started, this one included: they share what is left.
    """

    max_lifetime_s: float | None = None
    deployment_cap_usd: float | None = None
    owner_cap_usd: float | None = None
    nodes: int = 1
