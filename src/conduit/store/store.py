"""The store: Conduit's records behind one object, each method a short transaction, safe in threads."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from conduit.store import declarations, deployments, node_life, tables
from conduit.store.base import (
    Attempt,
    Declaration,
    DeploymentRecord,
    DeploymentState,
    ModelCall,
    NodeRecord,
    NodeState,
)
from conduit.store.database import Database
from conduit.store.run_log import RunLogWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conduit.settings import Settings

_FLUSH_S = 5.0


class Store:
    """Deployments, nodes, declarations and the run log.

    Methods are synchronous; asynchronous code calls them in a thread. All but those of the run log raise
    ``StoreUnavailable`` when the database fails.
    """

    def __init__(self, url: str) -> None:
        """Opens the database; ``open_store`` is the usual way in."""
        self._database = Database(url)
        self._run_log = RunLogWriter(self._write_calls)

    @property
    def location(self) -> str:
        """The database's file, or its URL without the password."""
        return self._database.location

    def put_deployment(
        self,
        key: str,
        *,
        project: str,
        owner: str,
        provider: str,
        name: str | None = None,
        spec: Mapping[str, Any],
    ) -> DeploymentRecord:
        """Inserts a deployment in state ``starting``; one that is there is returned as it is."""
        with self._database.write() as connection:
            return deployments.put(
                connection, key, project=project, owner=owner, provider=provider, name=name, spec=spec
            )

    def deployment(self, key: str) -> DeploymentRecord | None:
        """The deployment's row."""
        with self._database.read() as connection:
            return deployments.get(connection, key)

    def deployments(self, *, project: str | None = None, owner: str | None = None) -> list[DeploymentRecord]:
        """Rows that fit the given conditions, oldest first."""
        with self._database.read() as connection:
            return deployments.find(connection, project=project, owner=owner)

    def set_deployment_state(
        self, key: str, state: DeploymentState, *, reason: str | None = None
    ) -> DeploymentRecord:
        """Sets what became of a deployment.

        Raises:
            IllegalTransition: There is no such deployment.
        """
        with self._database.write() as connection:
            return deployments.set_state(connection, key, state, reason=reason)

    def delete_deployment(self, key: str) -> None:
        """Removes a deployment with its declarations and ended nodes; does nothing when there is none.

        Raises:
            IllegalTransition: A node of it has not ended.
        """
        with self._database.write() as connection:
            deployments.remove(connection, key)

    def add_intent(
        self, node_id: str, *, deployment_key: str, provider: str, owner: str, replica: int
    ) -> NodeRecord:
        """Commits that a node is about to be asked for. Only then may a provider be asked.

        Raises:
            IllegalTransition: The id is taken, or there is no such deployment.
        """
        with self._database.write() as connection:
            return node_life.add_intent(
                connection,
                node_id,
                deployment_key=deployment_key,
                provider=provider,
                owner=owner,
                replica=replica,
            )

    def node(self, node_id: str) -> NodeRecord | None:
        """The node's row."""
        with self._database.read() as connection:
            return node_life.get(connection, node_id)

    def nodes(
        self, *, deployment_key: str | None = None, owner: str | None = None, live: bool | None = None
    ) -> list[NodeRecord]:
        """Rows that fit the given conditions, by replica, then age; a ``live`` one has no final state."""
        with self._database.read() as connection:
            return node_life.find(connection, deployment_key=deployment_key, owner=owner, live=live)

    def transition(
        self,
        node_id: str,
        to: NodeState,
        *,
        handle: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> NodeRecord:
        """Moves a node to a state; the only way a node's state changes.

        Raises:
            IllegalTransition: The node's life has no such move, or there is no such node.
        """
        with self._database.write() as connection:
            return node_life.transition(connection, node_id, to, handle=handle, reason=reason)

    def delete_node(self, node_id: str) -> None:
        """Removes the row of a node that has ended; does nothing when there is none.

        Raises:
            IllegalTransition: The node has not ended.
        """
        with self._database.write() as connection:
            node_life.remove(connection, node_id)

    def declare(self, deployment_key: str) -> None:
        """Records, or renews, that this process wants the deployment.

        Raises:
            IllegalTransition: There is no such deployment.
        """
        with self._database.write() as connection:
            declarations.declare(connection, deployment_key)

    def withdraw(self, deployment_key: str) -> None:
        """Records that this process does not want the deployment any more."""
        with self._database.write() as connection:
            declarations.withdraw(connection, deployment_key)

    def declarations(self, deployment_key: str | None = None) -> list[Declaration]:
        """Declarations of living processes, this one's included."""
        with self._database.write() as connection:
            return declarations.find(connection, deployment_key)

    def is_ours(self, declaration: Declaration) -> bool:
        """Whether this process made the declaration."""
        return declarations.is_ours(declaration)

    def log_call(self, call: ModelCall) -> None:
        """Queues a row of the run log. Never blocks, never raises."""
        self._run_log.add(call)

    def flush(self, timeout_s: float = _FLUSH_S) -> bool:
        """Waits until the queued rows of the run log are dealt with; False when the time is over first."""
        return self._run_log.flush(timeout_s)

    def model_calls(
        self,
        *,
        limit: int = 100,
        block: str | None = None,
        flow_run_id: str | None = None,
        deployment_key: str | None = None,
    ) -> list[ModelCall]:
        """Rows of the run log that fit the given conditions, newest first, those still queued included."""
        self.flush()
        columns = tables.model_call.c
        query = select(*(column for column in columns if column.name != "id"))
        for column, value in (
            (columns.block, block),
            (columns.flow_run_id, flow_run_id),
            (columns.deployment_key, deployment_key),
        ):
            if value is not None:
                query = query.where(column == value)
        query = query.order_by(columns.started_at.desc(), columns.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_call(dict(row._mapping)) for row in connection.execute(query)]  # noqa: SLF001 - public

    def close(self) -> None:
        """Writes what is queued and closes the connections; a later use opens them again."""
        self._run_log.close(_FLUSH_S)
        self._database.close()

    def _write_calls(self, calls: Sequence[ModelCall]) -> None:
        with self._database.write() as connection:
            connection.execute(insert(tables.model_call), [_row(call) for call in calls])

    def _begin_after_fork(self) -> None:
        self._database.drop_after_fork()
        self._run_log.restart_after_fork()


def _row(call: ModelCall) -> dict[str, Any]:
    return vars(call) | {"attempt_log": [vars(attempt) for attempt in call.attempt_log]}


def _call(row: dict[str, Any]) -> ModelCall:
    # Rows that an older Conduit wrote have no attempts.
    attempts = [Attempt(**each | {"repairs": tuple(each["repairs"])}) for each in row["attempt_log"] or ()]
    return ModelCall(**row | {"attempt_log": tuple(attempts)})


_open: dict[str, Store] = {}
_opening = threading.Lock()


def open_store(settings: Settings) -> Store:
    """The store of these settings; one for each database in a process, closed at exit.

    Raises:
        StoreUnavailable: The data folder or the database cannot be used.
        MissingDependency: The database's driver is not installed.
    """
    url = settings.database_url
    with _opening:
        if url not in _open:
            _open[url] = Store(url)
        return _open[url]


def _close_all() -> None:
    for store in list(_open.values()):
        store.close()


def _begin_after_fork() -> None:
    # Another thread of the parent may have held the lock; connections and writer threads are the parent's.
    global _opening  # noqa: PLW0603
    _opening = threading.Lock()
    for store in list(_open.values()):
        store._begin_after_fork()  # noqa: SLF001 - one module


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_after_fork)
