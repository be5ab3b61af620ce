"""The one store of each database and project in a process: opened once, closed at exit, anew after a fork."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from conduit.store.store import Store

if TYPE_CHECKING:
    from conduit.settings import Settings

_open: dict[tuple[str, str, bool], Store] = {}
_opening = threading.Lock()


def open_store(settings: Settings) -> Store:
    """The store of these settings; one for each database and project in a process, closed at exit.

    Raises:
        StoreUnavailable: The data folder or the database cannot be used.
        MissingDependency: The database's driver is not installed.
    """
    which = settings.database_url, settings.project, settings.run_log
    with _opening:
        if which not in _open:
            url, project, logs = which
            _open[which] = Store(url, project=project, logs=logs, keep_days=settings.run_log_days)
        return _open[which]


def _close_all() -> None:
    for store in list(_open.values()):
        store.close()


def _begin_after_fork() -> None:
    # Another thread of the parent may have held the lock; connections and writer threads are the parent's.
    global _opening  # noqa: PLW0603 - a fork makes it anew
    _opening = threading.Lock()
    for store in list(_open.values()):
        store.begin_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_after_fork)
