"""The cache that calls of this process use: opened once for a data folder, and closed at the process's end."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from pathlib import Path

from conduit import settings
from conduit.dataflow.caching.shelf import Shelf
from conduit.errors import CacheUnavailable
from conduit.settings import Settings

logger = logging.getLogger(__name__)

# To load the settings costs more than a hit; these are the ones that count here.
_VARIABLES = ("CONDUIT_DATA_DIR", "CONDUIT_CACHE_MAX_BYTES", "CONDUIT_CACHE_TTL_S", "HOME", "XDG_DATA_HOME")

_lock = threading.Lock()
_found: dict[tuple[str | None, ...], tuple[Shelf, float | None] | None] = {}
_shelves: dict[Path, Shelf] = {}
# Of the process that this one was forked from: to close its connections is not ours.
_others: list[Shelf] = []


def folder_of(given: Settings) -> Path:
    """Where the cache lies."""
    return given.data_dir / "cache" / "v1"


def open_shelf(given: Settings) -> Shelf:
    """The cache of these settings.

    Raises:
        CacheUnavailable: It cannot be used.
    """
    with _lock:
        return _opened(given)


def current() -> tuple[Shelf, float | None] | None:
    """The cache and how old results may be, by the settings in force; ``None`` when it cannot be used."""
    variables = tuple(map(os.environ.get, _VARIABLES))
    found = _found.get(variables)
    if found is not None and found[0].of_this_process:
        return found
    with _lock:
        if variables in _found and _found[variables] is None:
            return None
        given = settings.load()
        try:
            _found[variables] = _opened(given), given.cache_ttl_s
        except CacheUnavailable as error:
            _found[variables] = None
            logger.warning("%s Calls go on without. Hint: %s", error.message, error.hint)
        return _found[variables]


def close() -> None:
    """Closes what this process has open; a later call opens it again."""
    with _lock:
        _found.clear()
        shelves = list(_shelves.values())
        _shelves.clear()
    for shelf in shelves:
        shelf.close()


def _opened(given: Settings) -> Shelf:
    folder = folder_of(given)
    shelf = _shelves.get(folder)
    if shelf is not None and not shelf.of_this_process:
        _others.append(_shelves.pop(folder))
        shelf = None
    if shelf is None:
        shelf = _shelves[folder] = Shelf(folder, given.cache_max_bytes)
    shelf.max_bytes = given.cache_max_bytes
    return shelf


atexit.register(close)
