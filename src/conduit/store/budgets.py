"""Budgets: whether an intent's money is still there, decided in the transaction that commits the intent.

Whoever asks holds the write lock of the database (SQLite) or the rows of the deployments whose budgets are
touched (``lock``), so that no two intents read the same sum.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from conduit.errors import BudgetExceeded
from conduit.store import costs, tables

if TYPE_CHECKING:
    from conduit.store.base import NodeRecord, Reservation

_COST = tables.node_cost.c
_DEPLOYMENT = tables.deployment.c
_ROUNDING_USD = 1e-9
"""Sums of binary fractions may be off by less than that."""


def lock(
    connection: Connection, deployment_key: str, owner: str, reservation: Reservation | None
) -> Row[Any] | None:
    """The deployment's row; nobody else reserves from the same budgets before the transaction ends."""
    mine = [_DEPLOYMENT.key == deployment_key]
    if reservation is not None and reservation.owner_cap_usd is not None:
        mine.append(_DEPLOYMENT.owner == owner)
    # One statement in one order: two transactions that each waited for a row of the other would never end.
    query = select(tables.deployment).where(or_(*mine)).order_by(_DEPLOYMENT.key).with_for_update()
    return next((row for row in connection.execute(query).all() if row.key == deployment_key), None)


def check(connection: Connection, new: NodeRecord, reservation: Reservation) -> None:
    """Refuses a reservation that does not fit under its caps any more; the new node's own cost row does not count.

    Raises:
        BudgetExceeded: What is spent and reserved, and the new reservation, are more than a cap.
    """
    if reservation.usd <= 0:
        return
    for cap, whose, its, remedy in (
        (
            reservation.deployment_cap_usd,
            f"deployment {new.deployment_key}",
            _COST.deployment_key == new.deployment_key,
            "Raise budget_usd, take fewer replicas or a shorter max_lifetime, or a cheaper GPU.",
        ),
        (
            reservation.owner_cap_usd,
            f"owner {new.owner}",
            _COST.owner == new.owner,
            "Raise CONDUIT_BUDGET_USD, or delete deployments that you do not need: `conduit status` lists them.",
        ),
    ):
        if cap is None:
            continue
        taken = _committed_usd(connection, its & (_COST.node_id != new.id))
        if taken + reservation.usd > cap + _ROUNDING_USD:
            raise BudgetExceeded(
                f"Node {new.id} may cost {reservation.usd:.4g} USD; of the {cap:.4g} USD that {whose} may cost,"
                f" {taken:.4g} USD are spent or reserved.",
                hint=remedy,
                budget_usd=cap,
                reserved_usd=taken,
                needed_usd=reservation.usd,
            )


def _committed_usd(connection: Connection, condition: ColumnElement[bool]) -> float:
    now = time.time()
    return sum(node.committed_usd(now) for node in costs.rows(connection, condition, ~_COST.closed))
