"""What nodes cost: a row for each node that there ever was, and its sums. The rows outlive nodes and deployments.

What is reckoned here is price times time. Bills are what the provider told; which of the two counts where is
said at each place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from conduit.store import tables
from conduit.store.base import DeploymentCost, NodeState
from conduit.store.database import insert_unless_taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conduit.store.base import NodeRecord

_COST = tables.node_cost.c
_CALL = tables.model_call.c
_PAST = tables.past_calls.c
_DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class NodeCost:
    """A row of ``node_cost``."""

    node_id: str
    deployment_key: str
    deployment_name: str | None
    project: str
    owner: str
    provider: str
    existed: bool
    usd_per_hour: float | None
    reserved_usd: float
    created_at: float
    ready_at: float | None
    ended_at: float | None
    billed_usd: float | None
    closed: bool

    @property
    def never_was(self) -> bool:
        """Whether it ended and the provider never told of it."""
        return self.ended_at is not None and not self.existed

    def lived_s(self, since: float, now: float) -> float:
        """How long it has lived, from the intent on, after that time."""
        end = now if self.ended_at is None else self.ended_at
        return 0.0 if self.never_was else max(0.0, end - max(self.created_at, since))

    def boot_s(self, since: float, now: float) -> float:
        """How long of that was before it was ready for the first time."""
        return self.lived_s(since, now) - (0.0 if self.ready_at is None else self._after_ready_s(since, now))

    def estimated_usd(self, since: float, now: float) -> float:
        """Price times time lived."""
        return (self.usd_per_hour or 0.0) * self.lived_s(since, now) / 3600.0

    def committed_usd(self, now: float) -> float:
        """What counts for a budget: the higher of estimate and bill; while it lives, no less than was reserved."""
        spent = max(self.estimated_usd(0.0, now), self.billed_usd or 0.0)
        return spent if self.ended_at is not None else max(spent, self.reserved_usd)

    def share_of_bill(self, since: float, now: float) -> float | None:
        """The bill, in proportion to the time lived after that time."""
        whole = self.lived_s(0.0, now)
        if self.billed_usd is None or whole == 0.0:
            return self.billed_usd
        return self.billed_usd * self.lived_s(since, now) / whole

    def _after_ready_s(self, since: float, now: float) -> float:
        assert self.ready_at is not None
        end = now if self.ended_at is None else self.ended_at
        return max(0.0, end - max(self.ready_at, since))


def rows(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[NodeCost]:
    """The rows that fit all conditions, oldest first."""
    query = select(tables.node_cost).where(*conditions).order_by(_COST.created_at, _COST.node_id)
    for row in connection.execute(query):
        yield NodeCost(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def begin(connection: Connection, node: NodeRecord, *, project: str, name: str | None) -> bool:
    """Opens the account of a node that is about to be asked for; False when its id is or was taken."""
    account = {
        "node_id": node.id,
        "deployment_key": node.deployment_key,
        "deployment_name": name,
        "project": project,
        "owner": node.owner,
        "provider": node.provider,
        "existed": False,
        "usd_per_hour": node.usd_per_hour,
        "reserved_usd": node.reserved_usd,
        "created_at": node.created_at,
        "closed": False,
    }
    return insert_unless_taken(connection, tables.node_cost, account)


def follow(
    connection: Connection,
    node_id: str,
    state: NodeState,
    *,
    now: float,
    existed: bool,
    usd_per_hour: float | None,
) -> None:
    """Records what a transition means for the node's cost."""
    values: dict[str, Any] = {}
    if existed:
        values["existed"] = True
    if usd_per_hour is not None:
        values["usd_per_hour"] = usd_per_hour
    if state is NodeState.READY:
        values["ready_at"] = func.coalesce(_COST.ready_at, now)  # the first time counts
    if state.final:
        values["ended_at"] = now
    if values:
        connection.execute(update(tables.node_cost).where(_COST.node_id == node_id).values(**values))


def set_billed(connection: Connection, node_id: str, usd: float) -> bool:
    """Records what the provider has billed for a node so far; False when there never was such a node."""
    change = update(tables.node_cost).where(_COST.node_id == node_id).values(billed_usd=usd)
    return connection.execute(change).rowcount > 0


def close(connection: Connection, deployment_key: str) -> None:
    """Ends the deployment's account: a deployment of the same key begins a new one."""
    connection.execute(
        update(tables.node_cost).where(_COST.deployment_key == deployment_key).values(closed=True)
    )


def of_deployments(
    connection: Connection,
    *,
    project: str | None,
    owner: str | None,
    deployment_key: str | None,
    since: float | None,
    now: float,
) -> list[DeploymentCost]:
    """The sums, one for each deployment that fits every given condition, the one that began last at the end."""
    conditions = [
        column == value
        for column, value in (
            (_COST.project, project),
            (_COST.owner, owner),
            (_COST.deployment_key, deployment_key),
        )
        if value is not None
    ]
    if since is not None:
        conditions.append(_COST.ended_at.is_(None) | (_COST.ended_at >= since))
    nodes: dict[str, list[NodeCost]] = {}
    for row in rows(connection, *conditions):
        nodes.setdefault(row.deployment_key, []).append(row)
    calls = _calls(connection, deployment_key, since)
    return [_sum(each, calls.get(key, (0, 0.0)), since or 0.0, now) for key, each in nodes.items()]


def _calls(
    connection: Connection, deployment_key: str | None, since: float | None
) -> dict[str, tuple[int, float]]:
    # Of calls whose rows are gone, what they cost is known by the day.
    sums = (
        (_CALL, func.count(), _CALL.started_at, since),
        (_PAST, func.sum(_PAST.calls), _PAST.day, None if since is None else since - _DAY_S),
    )
    found: dict[str, tuple[int, float]] = {}
    for columns, count, at, first in sums:
        query = select(columns.deployment_key, count, func.sum(columns.cost_usd))
        query = query.where(columns.deployment_key.is_not(None)).group_by(columns.deployment_key)
        if deployment_key is not None:
            query = query.where(columns.deployment_key == deployment_key)
        if first is not None:
            query = query.where(at >= first)
        for key, calls, usd in connection.execute(query):
            before = found.get(key, (0, 0.0))
            found[key] = before[0] + int(calls), before[1] + (usd or 0.0)
    return found


def _sum(nodes: Sequence[NodeCost], calls: tuple[int, float], since: float, now: float) -> DeploymentCost:
    last = nodes[-1]
    live = [node for node in nodes if node.ended_at is None]
    bills = [bill for node in nodes if (bill := node.share_of_bill(since, now)) is not None]
    return DeploymentCost(
        deployment_key=last.deployment_key,
        project=last.project,
        owner=last.owner,
        provider=last.provider,
        name=last.deployment_name,
        nodes=sum(not node.never_was for node in nodes),
        live_nodes=len(live),
        node_s=sum(node.lived_s(since, now) for node in nodes),
        boot_s=sum(node.boot_s(since, now) for node in nodes),
        usd_per_hour=sum(node.usd_per_hour or 0.0 for node in live),
        estimated_usd=sum(node.estimated_usd(since, now) for node in nodes),
        boot_usd=sum((node.usd_per_hour or 0.0) * node.boot_s(since, now) for node in nodes) / 3600.0,
        billed_usd=sum(bills) if bills else None,
        calls=calls[0],
        calls_usd=calls[1],
    )
