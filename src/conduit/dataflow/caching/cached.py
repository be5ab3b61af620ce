"""A call of a block whose results are kept: looked up, or made and kept."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from conduit.dataflow import identity
from conduit.dataflow.caching import flights
from conduit.dataflow.caching.opening import current
from conduit.dataflow.caching.shelf import Shelf
from conduit.dataflow.definition import Callee
from conduit.errors import NotCacheable

if TYPE_CHECKING:
    from conduit.dataflow.recording import Record

logger = logging.getLogger(__name__)

_NOTHING = object()
_told: set[tuple[str | None, str]] = set()


def cached(
    block: Callee,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    record: Record | None,
    call: Callable[[], Any],
) -> Any:
    """The result of ``call``, or an earlier one of the same call.

    Args:
        block: What is called.
        args: With these arguments; values, not handles.
        kwargs: And these.
        record: Told whether it was a hit.
        call: Makes the call.
    """
    asked = _asked(block, args, kwargs)
    if asked is None:
        return call()
    shelf, ttl_s, key = asked
    with flights.joined(key) as flight:
        data = flight.data or shelf.get(key, ttl_s)
        if (value := _read(block, data, record, key)) is not _NOTHING:
            flight.data = data
            return value
        value = call()
        flight.data = _written(block, value)
        if flight.data is not None:
            shelf.put(key, identity.block_name(block), flight.data)
        return value


async def cached_async(
    block: Callee,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    record: Record | None,
    call: Callable[[], Awaitable[Any]],
) -> Any:
    """``cached`` for a call that is awaited; the disk is used in another thread."""
    asked = _asked(block, args, kwargs)
    if asked is None:
        return await call()
    shelf, ttl_s, key = asked
    async with flights.joined_async(key) as flight:
        data = flight.data or await anyio.to_thread.run_sync(shelf.get, key, ttl_s)
        if (value := _read(block, data, record, key)) is not _NOTHING:
            flight.data = data
            return value
        value = await call()
        flight.data = _written(block, value)
        if flight.data is not None:
            await anyio.to_thread.run_sync(shelf.put, key, identity.block_name(block), flight.data)
        return value


def _asked(
    block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Shelf, float | None, str] | None:
    """Where to look, how old a result may be, and under which key; ``None`` where nothing is looked up or kept."""
    if identity.models_replaced():
        return None
    here = current()
    if here is None:
        return None
    shelf, ttl_s = here
    try:
        key = identity.call_key(block, args, kwargs)
    except NotCacheable as error:
        _tell(error)
        return None
    return shelf, block.options.cache_ttl_s or ttl_s, key


def _read(block: Callee, data: bytes | None, record: Record | None, key: str) -> Any:
    if record is not None:
        record.inputs_hash = key
    if data is None:
        return _NOTHING
    try:
        value = identity.load(block, data)
    except ValueError:
        logger.debug("a result of %s was kept and cannot be read; it is made again", block.options.name)
        return _NOTHING
    if record is not None:
        record.cached = True
    return value


def _written(block: Callee, value: Any) -> bytes | None:
    try:
        return identity.dump(block, value)
    except NotCacheable as error:
        _tell(error)
        return None


def _tell(error: NotCacheable) -> None:
    if (error.block, error.what) not in _told:
        _told.add((error.block, error.what))
        logger.warning("%s It is made each time. Hint: %s", error.message, error.hint)
