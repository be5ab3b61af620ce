"""The store: Conduit's records behind one object, each method a short transaction, safe in threads."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from conduit.errors import IllegalTransition, StoreUnavailable
from conduit.store import (
    block_rows,
    call_rows,
    costs,
    declarations,
    deployments,
    exporting,
    leases,
    ledger_rows,
    node_life,
    retention,
    totals,
)
from conduit.store.base import (
    Declaration,
    DeploymentCost,
    DeploymentRecord,
    DeploymentState,
    Lease,
    ModelCall,
    NodeRecord,
    NodeState,
    Reservation,
)
from conduit.store.database import Database
from conduit.store.ledgers import LedgerCounts, LedgerRow, LedgerState, LedgerSummary
from conduit.store.run_log import LogRow, RunLogWriter
from conduit.store.runs import BlockCall, CallState, FlowRun, FlowTotals

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from conduit.store.exporting import Exported

_LOG = logging.getLogger(__name__)
_FLUSH_S = 5.0
_REMOVED_AT_ONCE = 2000
"""Rows of a table whose time is over: others wait while they are removed."""
_GO_ON_S, _LOOK_AGAIN_S = 1.0, 3600.0


class Store:
    """Deployments, nodes, declarations, the run log and ledgers.

    Methods are synchronous; asynchronous code calls them in a thread. All but those that queue rows of the run log
    raise ``StoreUnavailable`` when the database fails.
    """

    def __init__(self, url: str, *, project: str = "", logs: bool = True, keep_days: float = 0.0) -> None:
        """Opens the database; ``open_store`` is the usual way in.

        Args:
            url: SQLAlchemy's, of an SQLite or Postgres database.
            project: Whose runs and ledgers are written and found.
            logs: Whether rows of the run log are written at all.
            keep_days: How long rows of the run log stay; 0 for ever.
        """
        self._database = Database(url)
        self._project, self._logs = project, logs
        self._keep_s = keep_days * 24 * 3600.0
        self._next_removal = 0.0  # of rows whose time is over, on the monotonic clock
        self._writing = threading.Lock()  # rows of the run log: a thread that still logs may outlive `close`
        self._run_log = RunLogWriter(self._write_log)

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
        budget_usd: float | None = None,
        plan: Mapping[str, Any] | None = None,
    ) -> DeploymentRecord:
        """Inserts a deployment in state ``starting``; one that is there is returned as it is."""
        now = time.time()
        new = DeploymentRecord(
            key=key,
            project=project,
            owner=owner,
            provider=str(provider),
            name=name,
            spec=dict(spec),
            state=DeploymentState.STARTING,
            reason=None,
            created_at=now,
            updated_at=now,
            budget_usd=budget_usd,
            plan=None if plan is None else dict(plan),
        )
        with self._database.write() as connection:
            return deployments.put(connection, new)

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

    def set_deployment_plan(
        self, key: str, *, plan: Mapping[str, Any] | None, budget_usd: float | None
    ) -> DeploymentRecord:
        """Sets what a deployment is to run on and what it may cost.

        Raises:
            IllegalTransition: There is no such deployment.
        """
        with self._database.write() as connection:
            return deployments.set_plan(connection, key, plan=plan, budget_usd=budget_usd)

    def keep_deployment(self, key: str, *, kept: bool = True) -> DeploymentRecord:
        """Sets whether a deployment stays although no process wants it.

        Raises:
            IllegalTransition: There is no such deployment.
        """
        with self._database.write() as connection:
            return deployments.set_kept(connection, key, kept=kept)

    def delete_deployment(self, key: str) -> None:
        """Removes a deployment with its declarations and ended nodes; does nothing when there is none.

        Raises:
            IllegalTransition: A node of it has not ended.
        """
        with self._database.write() as connection:
            deployments.remove(connection, key)

    def add_intent(
        self,
        node_id: str,
        *,
        deployment_key: str,
        provider: str,
        owner: str,
        replica: int,
        offering: Mapping[str, Any] | None = None,
        usd_per_hour: float | None = None,
        expires_at: float | None = None,
        reserve: Reservation | None = None,
    ) -> NodeRecord:
        """Commits that a node is about to be asked for. Only then may a provider be asked.

        What the node does not use of its reservation is free again when it has ended.

        Raises:
            IllegalTransition: The id is or was taken, or there is no such deployment.
            BudgetExceeded: The reservation does not fit under its caps; nothing was written.
        """
        now = time.time()
        new = NodeRecord(
            id=node_id,
            deployment_key=deployment_key,
            provider=str(provider),
            owner=owner,
            replica=replica,
            state=NodeState.INTENT,
            handle={},
            reason=None,
            created_at=now,
            updated_at=now,
            offering=None if offering is None else dict(offering),
            expires_at=expires_at,
            usd_per_hour=usd_per_hour,
            reserved_usd=0.0 if reserve is None else reserve.usd,
        )
        with self._database.write() as connection:
            return node_life.add_intent(connection, new, reserve)

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
        usd_per_hour: float | None = None,
        expires_at: float | None = None,
        ended_at: float | None = None,
    ) -> NodeRecord:
        """Moves a node to a state; the only way a node's state changes. What is not given stays, but the reason.

        Staying in a state that is not final is no error. A node that ends without ever having been given a handle
        counts as one that never was, and cost nothing. ``ended_at`` is when one that is confirmed to be gone was
        first seen to be; None for now.

        Raises:
            IllegalTransition: The node's life has no such move, perhaps because another process moved it first; or
                there is no such node.
        """
        with self._database.write() as connection:
            return node_life.transition(
                connection,
                node_id,
                to,
                handle=handle,
                reason=reason,
                usd_per_hour=usd_per_hour,
                expires_at=expires_at,
                ended_at=ended_at,
            )

    def delete_node(self, node_id: str) -> None:
        """Removes the row of a node that has ended; does nothing when there is none.

        Raises:
            IllegalTransition: The node has not ended.
        """
        with self._database.write() as connection:
            node_life.remove(connection, node_id)

    def set_billed(self, node_id: str, usd: float) -> None:
        """Records what the provider has billed for a node so far, also when its row was removed.

        Raises:
            IllegalTransition: There never was such a node.
        """
        with self._database.write() as connection:
            if not costs.set_billed(connection, node_id, usd):
                raise IllegalTransition(
                    f"Node {node_id} cannot be billed: there never was one.", record_id=node_id
                )

    def costs(
        self,
        *,
        project: str | None = None,
        owner: str | None = None,
        deployment_key: str | None = None,
        since: float | None = None,
    ) -> list[DeploymentCost]:
        """What deployments that fit the given conditions cost, deleted ones included.

        Args:
            project: The project that they belong to.
            owner: Who rents their nodes.
            deployment_key: One of them.
            since: Unix seconds: only what nodes and calls cost after that; bills count in proportion to the time.
        """
        self.flush()
        with self._database.read() as connection:
            return costs.of_deployments(
                connection,
                project=project,
                owner=owner,
                deployment_key=deployment_key,
                since=since,
                now=time.time(),
            )

    def acquire_lease(self, name: str, *, ttl_s: float) -> Lease | None:
        """Takes the lease of that name; None when somebody holds it, be it this very process.

        It is lost when it is not renewed within ``ttl_s``, and when the holder is a dead process of this host.
        """
        with self._database.write() as connection:
            return leases.acquire(connection, name, ttl_s=ttl_s)

    def renew_lease(self, lease: Lease, *, ttl_s: float) -> bool:
        """Holds the lease for so long from now on; False when it is lost."""
        with self._database.write() as connection:
            return leases.renew(connection, lease, ttl_s=ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """Gives the lease back; does nothing when it is lost."""
        with self._database.write() as connection:
            leases.release(connection, lease)

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
        self._log(call)

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
        with self._database.read() as connection:
            return call_rows.find(
                connection, limit=limit, block=block, flow_run_id=flow_run_id, deployment_key=deployment_key
            )

    def log_block_call(self, call: BlockCall) -> None:
        """Queues a row of a block's call. Never blocks, never raises."""
        self._log(call)

    def put_flow_run(self, run: FlowRun) -> None:
        """Queues a flow run; one of the same id is written over. Never blocks, never raises."""
        self._log(run)

    def block_calls(
        self,
        *,
        limit: int,
        flow_run_id: str | None = None,
        block: str | None = None,
        state: CallState | None = None,
        map_id: str | None = None,
        slowest: bool = False,
    ) -> list[BlockCall]:
        """The project's block calls that fit the given conditions, newest or slowest first."""
        self.flush()
        with self._database.read() as connection:
            return block_rows.find_calls(
                connection,
                self._project,
                limit=limit,
                flow_run_id=flow_run_id,
                block=block,
                state=state,
                map_id=map_id,
                slowest=slowest,
            )

    def flow_runs(self, *, limit: int) -> list[FlowRun]:
        """The project's flow runs, newest first."""
        self.flush()
        with self._database.read() as connection:
            return block_rows.find_runs(connection, self._project, limit=limit)

    def flow_runs_named(self, text: str) -> list[FlowRun]:
        """The project's flow runs whose id begins so, or that are named so, newest first."""
        self.flush()
        with self._database.read() as connection:
            return block_rows.find_runs_named(connection, self._project, text)

    def flow_run_totals(self, flow_run_id: str) -> FlowTotals:
        """The sums over a flow run's block calls and model calls; all zero when it is not known."""
        self.flush()
        with self._database.read() as connection:
            return totals.of_flow_run(connection, flow_run_id)

    def forget_flow_run(self, flow_run_id: str) -> int:
        """Removes a flow run of the project with its calls; returns how many rows there were."""
        self.flush()
        with self._database.write() as connection:
            return retention.remove_run(connection, self._project, flow_run_id)

    def forget_before(self, before: float) -> int:
        """Removes the project's rows of the run log that began before that time; returns how many."""
        self.flush()
        total = 0
        while sum(removed := self._remove_some(before)):
            total += sum(removed)
        return total

    def exported(
        self, table: Exported, *, ledger: str | None = None, since: float | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """The project's rows of a table as plain values, oldest first, read as they are taken.

        Args:
            table: Whose columns ``exporting.columns`` tells.
            ledger: Of ``ledger`` rows, which one's.
            since: Only rows that began, or of a ledger ended, after that time.
        """
        self.flush()
        with self._database.read() as connection:
            yield from exporting.stream(connection, self._project, table, ledger=ledger, since=since)

    def ledger_put(self, rows: Sequence[LedgerRow]) -> None:
        """Writes rows of ledgers in one transaction; one of the same ledger and key is written over."""
        with self._database.write() as connection:
            ledger_rows.put(connection, self._project, rows)

    def ledger_lookup(self, ledger: str, keys: Sequence[str]) -> dict[str, LedgerRow]:
        """The rows of these keys, by key; a key that has none is missing."""
        with self._database.read() as connection:
            return ledger_rows.lookup(connection, self._project, ledger, keys)

    def ledger_rows(
        self, ledger: str, *, state: LedgerState | None = None, after: int | None = None, limit: int
    ) -> list[LedgerRow]:
        """Rows of a ledger by item, ascending.

        Args:
            ledger: Its name.
            state: Only those.
            after: Only rows of later items than that one.
            limit: Of rows; those of the last item come together, be they more.
        """
        with self._database.read() as connection:
            return ledger_rows.find(connection, self._project, ledger, state=state, after=after, limit=limit)

    def ledger_counts(self, ledger: str) -> LedgerCounts:
        """How many rows a ledger has, and how long its results are together; zero when there is none."""
        with self._database.read() as connection:
            return ledger_rows.counts(connection, self._project, ledger)

    def ledger_failures(self, *, limit: int, flow_run_id: str | None = None) -> list[LedgerRow]:
        """Failed items of all the project's ledgers, or those that one flow run ended; the last ones first."""
        with self._database.read() as connection:
            return ledger_rows.failures(connection, self._project, limit=limit, flow_run_id=flow_run_id)

    def ledgers(self) -> list[LedgerSummary]:
        """The project's ledgers, the one that was written last first."""
        with self._database.read() as connection:
            return ledger_rows.summaries(connection, self._project)

    def ledger_delete(self, ledger: str) -> int:
        """Removes a ledger; returns how many rows it had."""
        with self._database.write() as connection:
            return ledger_rows.remove(connection, self._project, ledger)

    def close(self) -> None:
        """Writes what is queued and closes the connections; a later use opens them again."""
        self._run_log.close(_FLUSH_S)
        with self._writing:
            self._database.close()

    def _log(self, row: LogRow) -> None:
        if self._logs:
            self._run_log.add(row)

    def _write_log(self, rows: Sequence[LogRow]) -> None:
        models = [row for row in rows if isinstance(row, ModelCall)]
        blocks = [row for row in rows if isinstance(row, BlockCall)]
        runs = [row for row in rows if isinstance(row, FlowRun)]
        with self._writing:
            with self._database.write() as connection:
                if models:
                    call_rows.add(connection, self._project, models)
                if blocks:
                    block_rows.add_calls(connection, self._project, blocks)
                if runs:
                    block_rows.put_runs(connection, self._project, runs)
            if self._keep_s and time.monotonic() >= self._next_removal:
                self._remove_old()

    def _remove_old(self) -> None:
        more = False
        try:
            more = max(self._remove_some(time.time() - self._keep_s)) == _REMOVED_AT_ONCE
        except StoreUnavailable as error:  # the rows themselves were written
            _LOG.debug("rows of the run log whose time is over stay: %s", error)
        self._next_removal = time.monotonic() + (_GO_ON_S if more else _LOOK_AGAIN_S)

    def _remove_some(self, before: float) -> tuple[int, ...]:
        with self._database.write() as connection:
            return retention.remove_old(connection, self._project, before=before, limit=_REMOVED_AT_ONCE)

    def begin_after_fork(self) -> None:
        """Forgets connections and threads, which are the parent process's."""
        self._writing = threading.Lock()
        self._database.drop_after_fork()
        self._run_log.restart_after_fork()
