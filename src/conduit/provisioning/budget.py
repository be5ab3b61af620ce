"""How long a paid node may live, so that its whole life is paid for before it is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass

from conduit.errors import BudgetExceeded
from conduit.provisioning.candidate import Terms
from conduit.store import Reservation

LONGEST_LIFE_S = 24 * 3600.0
"""Of a paid node that was given no limit: nobody forgets one for longer."""
LEAST_LIFE_S = 600.0
"""A shorter one would end about when its model is loaded."""
ENDING_S = 60.0
"""What the end itself may take; it is reserved as well."""


@dataclass(frozen=True)
class Life:
    """The limits of one node.

    Attributes:
        expires_at: Unix seconds; None for never.
        reserve: What its intent sets aside; None for a free node.
    """

    expires_at: float | None
    reserve: Reservation | None


def life(terms: Terms, usd_per_hour: float, *, left_usd: float | None = None) -> Life:
    """The longest life that the terms allow.

    Args:
        terms: The limits, and how many nodes share them.
        usd_per_hour: The machine's price.
        left_usd: What is left of the cap that refused a longer life; shared by the terms' nodes.

    Raises:
        BudgetExceeded: It would be shorter than ten minutes.
    """
    now = time.time()
    if usd_per_hour <= 0:
        expires_at = None if terms.max_lifetime_s is None else now + terms.max_lifetime_s
        return Life(expires_at, None)
    caps = [cap for cap in (terms.deployment_cap_usd, terms.owner_cap_usd) if cap is not None]
    life_s = terms.max_lifetime_s
    if life_s is None:
        paid = [*caps, *([] if left_usd is None else [left_usd])]
        life_s = min([LONGEST_LIFE_S, *(_paid_s(usd, usd_per_hour, terms.nodes) for usd in paid)])
        if life_s < LEAST_LIFE_S:
            raise _too_little(min(paid), usd_per_hour, terms.nodes, min(caps))
    usd = usd_per_hour * (life_s + ENDING_S) / 3600
    reserve = Reservation(
        usd=usd, deployment_cap_usd=terms.deployment_cap_usd, owner_cap_usd=terms.owner_cap_usd
    )
    return Life(now + life_s, reserve)


def shorter(terms: Terms, usd_per_hour: float, refused: BudgetExceeded) -> Life:
    """The life that what is left pays for, once a longer one was refused.

    Raises:
        BudgetExceeded: That is less than ten minutes, or the terms ask for a certain life.
    """
    if terms.max_lifetime_s is not None or refused.budget_usd is None or refused.reserved_usd is None:
        raise refused
    return life(terms, usd_per_hour, left_usd=max(0.0, refused.budget_usd - refused.reserved_usd))


def _paid_s(usd: float, usd_per_hour: float, nodes: int) -> float:
    # A cent's fraction stays: the records add up in another order, and must not find a sum above the cap.
    return usd * (1 - 1e-9) / (usd_per_hour * nodes) * 3600 - ENDING_S


def _too_little(left_usd: float, usd_per_hour: float, nodes: int, cap_usd: float) -> BudgetExceeded:
    needed_usd = nodes * usd_per_hour * (LEAST_LIFE_S + ENDING_S) / 3600
    return BudgetExceeded(
        f"{nodes} node{'s' if nodes > 1 else ''} at {usd_per_hour:.2f} USD/h cost {needed_usd:.2f} USD in "
        f"{LEAST_LIFE_S / 60:.0f} min, the least; {left_usd:.2f} USD are left of the budget of {cap_usd:.2f} USD.",
        hint="Raise budget_usd, choose a cheaper GPU, or end what runs: `conduit gc`.",
        budget_usd=cap_usd,
        reserved_usd=cap_usd - left_usd,
        needed_usd=needed_usd,
    )
