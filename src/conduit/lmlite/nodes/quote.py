"""What an LMLite would run on and cost, before anything is started."""

from __future__ import annotations

import time
from dataclasses import dataclass

from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.nodes import placing
from conduit.planner import Plan
from conduit.provisioning import Site, Terms, life


@dataclass(frozen=True)
class Quote:
    """An offer, at the prices of now.

    Attributes:
        plan: What the replicas would run on; None where there is but one machine to choose.
        replicas: How many.
        usd_per_hour: Of all replicas together; of a serverless endpoint, while all its workers run.
        longest_s: How long a replica may live at most; None without an end.
        most_usd: What all replicas cost if they live that long and none is given back before.
        budget_usd: The most that the deployment may cost; None without a budget.
    """

    plan: Plan | None
    replicas: int
    usd_per_hour: float
    longest_s: float | None
    most_usd: float | None
    budget_usd: float | None


def terms(site: Site, config: ResourceConfig, nodes: int = 1) -> Terms:
    """What the nodes of a configuration may take."""
    return Terms(
        max_lifetime_s=config.max_lifetime_s,
        deployment_cap_usd=config.budget_usd,
        owner_cap_usd=site.settings.budget_usd,
        nodes=nodes,
    )


async def quote(site: Site, config: ResourceConfig) -> Quote:
    """The offer; asks the provider for its prices and starts nothing.

    Raises:
        NothingFits: Nothing on sale holds the models.
        BudgetExceeded: The budget does not pay for ten minutes of all replicas.
        ComputeError: The provider does not say what it has.
    """
    plan = await placing.plan(site, config)
    usd_per_hour = 0.0 if plan is None else plan.offering.usd_per_hour * config.replicas
    # Of an endpoint all workers are one node.
    expires_at = life(terms(site, config, config.nodes), usd_per_hour / config.nodes).expires_at
    longest_s = None if expires_at is None else expires_at - time.time()
    most_usd = 0.0 if usd_per_hour == 0 else None if longest_s is None else usd_per_hour * longest_s / 3600
    return Quote(plan, config.replicas, usd_per_hour, longest_s, most_usd, config.budget_usd)
