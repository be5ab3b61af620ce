"""Where a call stands: outside any flow, in a flow's body, or within a block that runs as a task of the flow.

Answered without importing Prefect: a flow can only run when Prefect is loaded already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# The flow run in whose task a block's body runs. A flow called from that body is another run, and its blocks are
# tasks again.
_task_of: ContextVar[object] = ContextVar("conduit_task_of", default=None)


def current_flow_run_id() -> Any:
    """The id of the flow run that the code runs in, be it in a task or not; ``None`` outside a flow."""
    context = sys.modules.get("prefect.context")
    if context is None:
        return None
    # While another thread imports Prefect its module may be half there: then no flow runs yet.
    kind = getattr(context, "FlowRunContext", None)
    flow = kind.get() if kind is not None else None
    return flow.flow_run.id if flow is not None and flow.flow_run is not None else None


def flow_run_id() -> Any:
    """The id of the flow run whose tasks the next calls become; ``None`` where calls are plain."""
    run = current_flow_run_id()
    return run if run is not None and _task_of.get() != run else None


@contextmanager
def task_body(flow_run: object) -> Iterator[None]:
    """Marks the code within as a block's body: blocks it calls are part of that task, not tasks of their own."""
    token = _task_of.set(flow_run)
    try:
        yield
    finally:
        _task_of.reset(token)
