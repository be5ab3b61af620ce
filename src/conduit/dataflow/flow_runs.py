"""Flow runs as blocks see them: what a run's calls have made, its row in the records, its totals at the end.

Prefect keeps a run's context for a while after its end, so what a run leaves here goes when the next one starts, or
with the context.
"""

from __future__ import annotations

import contextlib
import logging
import time
import weakref
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import anyio.to_thread
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.utilities.urls import url_for

from conduit import store
from conduit.dataflow import interrupts, prefect_exit, progress_artifacts, run_artifacts
from conduit.dataflow.lineage import Lineage
from conduit.dataflow.recording import Log
from conduit.errors import ConduitError
from conduit.leash import Leash

logger = logging.getLogger(__name__)

# How long a run's end may wait for rows that are still on their way to the disk.
_FLUSH_S = 10.0


@dataclass
class RunInProcess:
    """What this process knows of a flow run.

    Attributes:
        context: Prefect's, while it lives.
        lineage: Which tasks made which values.
        log: Where its calls are written; None when the records cannot be used.
        leash: Holds its tasks' calls.
    """

    context: weakref.ref[FlowRunContext]
    log: Log | None
    lineage: Lineage = field(default_factory=Lineage)
    leash: Leash = field(default_factory=Leash)

    @property
    def over(self) -> bool:
        """Whether it has ended, or its context is gone."""
        flow = self.context()
        if flow is None or flow.flow_run is None or flow.flow_run.state is None:
            return True
        return flow.flow_run.state.is_final()


_runs: dict[UUID, RunInProcess] = {}


def current() -> RunInProcess:
    """The flow run that the code runs in; begun when it calls its first block."""
    flow = FlowRunContext.get()
    assert flow is not None
    assert flow.flow_run is not None
    known = _runs.get(flow.flow_run.id)
    if known is None:
        progress_artifacts.watch()
        for other, run in list(_runs.items()):
            if run.over:
                _runs.pop(other, None)
        # Two threads of a flow may be first at the same time: setdefault lets one of them win.
        begun = RunInProcess(weakref.ref(flow), _begun(flow))
        known = _runs.setdefault(flow.flow_run.id, begun)
        if known is begun:
            interrupts.cut_when_left(flow, known.leash)
            prefect_exit.leave_in_time()
    return known


def _begun(context: FlowRunContext) -> Log | None:
    run, flow = context.flow_run, context.flow
    assert run is not None
    try:
        log = Log(str(run.id))
    except ConduitError as error:
        logger.warning("the calls of this flow run are not logged: %s", error)
        return None
    # A task in another process has a copy of the flow, whose end is not the run's.
    if flow is not None and not context.detached:
        for hooks in (
            flow.on_completion_hooks,
            flow.on_failure_hooks,
            flow.on_cancellation_hooks,
            flow.on_crashed_hooks,
        ):
            if conduit_totals not in hooks:
                hooks.append(conduit_totals)
        log.records.put_flow_run(_row(flow, run))
    return log


def _row(flow: Flow[..., Any], run: FlowRun, **end: Any) -> store.FlowRun:
    started_at = time.time() if run.start_time is None else run.start_time.timestamp()
    return store.FlowRun(str(run.id), flow.name, run.name, started_at, url=url_for("flow-run", run.id), **end)


async def conduit_totals(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook at the end of a run: closes its row, and leaves its totals as a table in the UI."""
    known = _runs.get(flow_run.id)
    if known is None or known.log is None:
        return
    log = known.log
    log.records.put_flow_run(_row(flow, flow_run, state=state.type.value.lower(), ended_at=time.time()))

    def totals() -> store.FlowTotals:
        progress_artifacts.writer.flush(_FLUSH_S)
        log.records.flush(_FLUSH_S)
        return log.records.flow_run_totals(log.flow_run_id)

    with contextlib.suppress(ConduitError):  # said already when the rows could not be written
        await run_artifacts.put_totals(flow_run.id, await anyio.to_thread.run_sync(totals))
