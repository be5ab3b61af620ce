"""The process in which the demo's flow runs; not for use by hand.

A process of its own has the demo's Prefect settings from its first line, keeps Prefect's talk out of the demo's
output, and can be ended at any moment. It brings the replicas up while the Prefect server is still starting, waits
for a line on standard input, runs the flow, and deletes the replicas. Each step is told as a line of JSON on
standard output. When standard input closes the demo has died: then everything ends, the demo's server too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from conduit import settings
from conduit.cli.prefect_server import OwnServer
from conduit.errors import ConduitError

Tell = Callable[..., None]


@dataclass(frozen=True)
class Task:
    """What the process is to do.

    Attributes:
        url: The page.
        database: DuckDB file for the tickets.
        keep: Leave the replicas up.
        stop_server: Stop the data folder's own Prefect server if the demo dies.
    """

    url: str
    database: str
    keep: bool
    stop_server: bool


def main() -> None:
    """Does the task given as the only argument."""
    task = Task(**json.loads(sys.argv[1]))
    tell = _teller()
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each of Prefect's requests
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _leave)
    demo = _Demo()
    try:
        _run(task, tell, demo)
        tell("done")
    except ConduitError as error:
        tell("error", **error.as_dict())
        raise SystemExit(1) from error
    except Exception as error:
        traceback.print_exc()
        tell("error", code="unexpected", message=f"{type(error).__name__}: {error}", hint=None)
        raise SystemExit(1) from error
    finally:
        if demo.gone.is_set() and task.stop_server:
            OwnServer(settings.load()).stop()


def _run(task: Task, tell: Tell, demo: _Demo) -> None:
    from conduit.cli import inbox

    lm = inbox.lm
    stay = any(replica.ready for replica in lm.health().replicas)  # what was up before stays up
    try:
        begun = time.perf_counter()
        lm.up()
        replicas = [replica.node_id for replica in lm.health().replicas]
        tell("replicas", seconds=time.perf_counter() - begun, replicas=replicas)
        demo.wait_for_server()
        begun = time.perf_counter()
        state = inbox.inbox(task.url, task.database, return_state=True)
        outcome = state.result(raise_on_failure=False)
        failed = outcome if isinstance(outcome, BaseException) else None
        tell(
            "flow",
            seconds=time.perf_counter() - begun,
            id=str(state.state_details.flow_run_id),
            state=state.name,
            summary=None if failed else outcome,
        )
        if failed is not None:
            raise failed
        stay = stay or task.keep
    finally:
        if not stay:
            lm.delete()


class _Demo:
    """The process that started this one, seen through standard input."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._server_ready = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait_for_server(self) -> None:
        """Waits until the demo says that its Prefect server answers."""
        self._server_ready.wait()

    def _watch(self) -> None:
        for _ in sys.stdin:
            self._server_ready.set()
        self.gone.set()
        os.kill(os.getpid(), signal.SIGTERM)


def _teller() -> Tell:
    """Standard output becomes ours alone: what a flow prints goes to the log."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: str, **values: Any) -> None:
        lines.write(json.dumps({"event": event, **values}) + "\n")
        lines.flush()

    return tell


def _leave(signum: int, _frame: FrameType | None) -> None:
    # Once is enough: the second signal must not cut the clean-up short.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    main()
