"""One call of a block with its options: retries, time limit, handles in place of values.

A generator's call here is its run to the end, and its value the list of its items, a stream's is the value that
ends it: that is what ``submit`` and ``map`` give. Lazy iteration is the block's own ``__call__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread

from conduit.dataflow import futures, limits
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee

if TYPE_CHECKING:
    from conduit.dataflow.recording import Record

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """The arguments, with values in place of handles; waits for them."""
    return futures.resolved(args, kwargs) if futures.handles((*args, *kwargs.values())) else (args, kwargs)


async def given_async(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """``given`` without holding up the event loop."""
    if not futures.handles((*args, *kwargs.values())):
        return args, kwargs
    return await anyio.to_thread.run_sync(futures.resolved, args, kwargs)


def once(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], record: Record | None = None) -> Any:
    """One attempt of a synchronous block; counted in the call's record, where it has one."""
    if record is not None:
        record.attempts += 1
    args, kwargs = given(args, kwargs)
    if block.options.cache:
        from conduit.dataflow import caching

        return caching.cached(block, args, kwargs, record, lambda: _invoked(block, args, kwargs))
    return _invoked(block, args, kwargs)


def _invoked(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if block.definition.kind is Kind.GENERATOR:
        return block.definition.invoke_whole(args, kwargs)
    if (timeout_s := block.options.timeout_s) is not None:
        return block.definition.invoke_within(args, kwargs, timeout_s)
    return block.definition.invoke(args, kwargs)


async def once_async(
    block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], record: Record | None = None
) -> Any:
    """One attempt of an asynchronous block; see ``once``."""
    if record is not None:
        record.attempts += 1
    args, kwargs = await given_async(args, kwargs)
    if block.options.cache:
        from conduit.dataflow import caching

        return await caching.cached_async(
            block, args, kwargs, record, lambda: _invoked_async(block, args, kwargs)
        )
    return await _invoked_async(block, args, kwargs)


async def _invoked_async(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if block.definition.kind is Kind.ASYNC_GENERATOR:
        return await block.definition.invoke_whole(args, kwargs)
    if (timeout_s := block.options.timeout_s) is not None:
        return await block.definition.invoke_within(args, kwargs, timeout_s)
    return await block.definition.invoke(args, kwargs)


def full(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], record: Record | None = None) -> Any:
    """A synchronous block's call with its retries."""
    return limits.attempt(lambda: once(block, args, kwargs, record), block.options)


async def full_async(
    block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], record: Record | None = None
) -> Any:
    """An asynchronous block's call with its retries."""
    return await limits.attempt_async(lambda: once_async(block, args, kwargs, record), block.options)
