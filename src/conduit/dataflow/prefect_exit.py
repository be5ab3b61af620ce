"""The end of a process whose Prefect server is gone.

Prefect sends what it has left to tell at the process's exit, and tries each event for many seconds: a process
with hundreds of them would stand for an hour. What was to be shown in the interface is given up then; the run log
has it.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from conduit.dataflow import prefect_api

_lock = threading.Lock()
_registered: list[EventsWorker] = []


def leave_in_time() -> None:
    """Has this process end in time even when its server does not answer any more."""
    url = prefect_api.api_url()
    if url is None:
        return
    with _lock:
        # These register what waits for the server; what is registered later comes first.
        events, logs = EventsWorker.instance(), APILogWorker.instance()
        if any(events is known for known in _registered):
            return
        _registered.append(events)
        # Prefect's and the standard library's own way: `atexit` comes after the threads have been waited for.
        threading._register_atexit(  # type: ignore[attr-defined] # noqa: SLF001
            partial(_give_up_if_gone, url, events, logs)
        )


def _give_up_if_gone(url: str, events: Any, logs: Any) -> None:
    # Nothing is logged: the handlers may send it there.
    if prefect_api.health(url) is not None:
        events._handle = logs._handle_batch = _drop  # noqa: SLF001 # there is no other way to stop them


async def _drop(_: Any) -> None:
    """In place of sending."""
