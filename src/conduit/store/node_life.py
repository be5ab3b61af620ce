"""The life of a node's row: one table of legal moves, and the one function through which a state changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from conduit.errors import IllegalTransition
from conduit.store import budgets, costs, tables
from conduit.store.base import NodeRecord, NodeState, Reservation

if TYPE_CHECKING:
    from collections.abc import Mapping

_NODE = tables.node.c
_COST = tables.node_cost.c
_S = NodeState

MOVES: Mapping[NodeState, frozenset[NodeState]] = {
    # An intent that nobody acted on ends without a provider having been asked.
    _S.INTENT: frozenset({_S.CREATING, _S.TERMINATED, _S.FAILED}),
    _S.CREATING: frozenset({_S.STARTING, _S.TERMINATING, _S.FAILED, _S.LOST}),
    _S.STARTING: frozenset({_S.READY, _S.UNHEALTHY, _S.TERMINATING, _S.FAILED, _S.LOST}),
    _S.READY: frozenset({_S.UNHEALTHY, _S.TERMINATING, _S.LOST}),
    _S.UNHEALTHY: frozenset({_S.READY, _S.TERMINATING, _S.FAILED, _S.LOST}),
    _S.TERMINATING: frozenset({_S.TERMINATED, _S.FAILED, _S.LOST}),
    _S.TERMINATED: frozenset(),
    _S.FAILED: frozenset(),
    _S.LOST: frozenset(),
}


_ROWS = select(
    tables.node,
    *(_COST[name] for name in ("usd_per_hour", "reserved_usd", "ready_at", "ended_at", "billed_usd")),
).join(tables.node_cost, _COST.node_id == _NODE.id)


def add_intent(connection: Connection, new: NodeRecord, reservation: Reservation | None) -> NodeRecord:
    """Inserts the row of a node that is about to be asked for, with its reservation.

    Raises:
        IllegalTransition: The id is or was taken, or there is no such deployment.
        BudgetExceeded: The reservation does not fit under its caps.
    """
    deployment = budgets.lock(connection, new.deployment_key, new.owner, reservation)
    if deployment is None:
        raise IllegalTransition(
            f"Node {new.id} cannot be added: deployment {new.deployment_key} has no row.",
            hint="Put the deployment first.",
            record_id=new.id,
            to_state=_S.INTENT,
        )
    # Before the budget: who asks for an id twice has not run out of money.
    if not costs.begin(connection, new, project=deployment.project, name=deployment.name):
        taken = get(connection, new.id)
        raise _illegal(new.id, taken.state if taken else _S.TERMINATED, _S.INTENT)
    if reservation is not None:
        budgets.check(connection, new, reservation)
    values = {column.name: getattr(new, column.name) for column in _NODE} | {"state": new.state.value}
    connection.execute(insert(tables.node).values(**values))
    return new


def transition(
    connection: Connection,
    node_id: str,
    to: NodeState,
    *,
    handle: Mapping[str, Any] | None = None,
    reason: str | None = None,
    usd_per_hour: float | None = None,
    expires_at: float | None = None,
    ended_at: float | None = None,
) -> NodeRecord:
    """Moves a node to a state. Nothing else changes a node's state.

    Staying in a state that is not final is allowed, and takes new values. Of several that ask at once each finds
    the state that the one before it left: a move that is not legal from there is refused, and nothing of it kept.

    Raises:
        IllegalTransition: The move is not in ``MOVES``, or there is no such node.
    """
    record = get(connection, node_id, lock=True)
    if record is None:
        raise _illegal(node_id, None, to)
    stays = to is record.state and not to.final
    if not stays and to not in MOVES[record.state]:
        raise _illegal(node_id, record.state, to)
    now = time.time()
    values: dict[str, Any] = {"state": to.value, "updated_at": now}
    if handle is not None:
        values["handle"] = dict(handle)
    if expires_at is not None:
        values["expires_at"] = expires_at
    if reason is not None or not stays:
        values["reason"] = reason
    connection.execute(update(tables.node).where(_NODE.id == node_id).values(**values))
    at = ended_at if to.final and ended_at is not None else now
    costs.follow(connection, node_id, to, now=at, existed=bool(handle), usd_per_hour=usd_per_hour)
    moved = get(connection, node_id)
    assert moved is not None
    return moved


def get(connection: Connection, node_id: str, *, lock: bool = False) -> NodeRecord | None:
    """The node's row; with ``lock`` nobody else changes it before the transaction ends."""
    query = _ROWS.where(_NODE.id == node_id)
    row = connection.execute(query.with_for_update(of=tables.node) if lock else query).one_or_none()
    return None if row is None else _record(row)


def find(
    connection: Connection,
    *,
    deployment_key: str | None = None,
    owner: str | None = None,
    live: bool | None = None,
) -> list[NodeRecord]:
    """Rows that fit every given condition, ordered by replica, then age."""
    query = _ROWS.order_by(_NODE.replica, _NODE.created_at, _NODE.id)
    if deployment_key is not None:
        query = query.where(_NODE.deployment_key == deployment_key)
    if owner is not None:
        query = query.where(_NODE.owner == owner)
    if live is not None:
        final = _NODE.state.in_([state.value for state in _S if state.final])
        query = query.where(~final if live else final)
    return [_record(row) for row in connection.execute(query)]


def remove(connection: Connection, node_id: str) -> None:
    """Removes the row of a node that has ended; does nothing when there is none.

    Raises:
        IllegalTransition: The node has not ended.
    """
    record = get(connection, node_id, lock=True)
    if record is None:
        return
    if not record.state.final:
        raise IllegalTransition(
            f"Node {node_id} is {record.state.value}: its row must stay while it may exist.",
            hint="End it first: `conduit down`.",
            record_id=node_id,
            from_state=record.state.value,
        )
    connection.execute(delete(tables.node).where(_NODE.id == node_id))


def _record(row: Row[Any]) -> NodeRecord:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["state"] = NodeState(values["state"])
    return NodeRecord(**values)


def _illegal(node_id: str, old: NodeState | None, new: NodeState) -> IllegalTransition:
    if old is None:
        message = f"Node {node_id} cannot become {new.value}: it has no row."
    elif new is NodeState.INTENT:
        message = f"Node {node_id} cannot be added: there is or was one already, and it is {old.value}."
    else:
        message = f"Node {node_id} is {old.value} and cannot become {new.value}."
    legal = ", ".join(sorted(MOVES[old])) if old is not None else ""
    return IllegalTransition(
        message,
        hint=f"From {old.value} it can become: {legal}." if old is not None and legal else None,
        record_id=node_id,
        from_state=old.value if old is not None else None,
        to_state=new.value,
    )
