"""A flow that is interrupted - by Ctrl-C, a signal, its time limit or a cancellation - takes its calls with it.

Prefect waits for the threads of its task runner before anything else learns of the interrupt, and a model's call in
one of them may last for minutes.
"""

from __future__ import annotations

import sys

from prefect.context import FlowRunContext

from conduit.leash import Leash


def cut_when_left(flow: FlowRunContext, leash: Leash) -> None:
    """Has the leash cut when an interrupt leaves the flow, before Prefect waits for its tasks.

    Args:
        flow: A run, whose task runner is its own.
        leash: Of the run's calls.
    """
    runner, run = flow.task_runner, flow.flow_run
    cancel_all = getattr(runner, "cancel_all", None)
    if cancel_all is None or flow.detached:  # other hosts' tasks, or another process's flow
        return

    def leave() -> None:
        # The runner calls this when it is left, whatever for, and only then waits. Errors of the flow itself let
        # what runs come to its end.
        error = sys.exc_info()[1]
        interrupted = error is not None and not isinstance(error, Exception)
        state = None if run is None else run.state
        if interrupted or (state is not None and state.name == "TimedOut"):
            leash.cut()
        cancel_all()

    runner.cancel_all = leave  # type: ignore[attr-defined] # of the runners that have threads or processes
