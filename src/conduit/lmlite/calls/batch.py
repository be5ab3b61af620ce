"""Many calls at a time: as many as keep the replicas busy, results in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

import anyio

from conduit.errors import ArgumentInvalid, ConduitError

T = TypeVar("T")

Errors = Literal["raise", "collect"]


async def run_batch(
    calls: Sequence[T], call: Callable[[T], Awaitable[Any]], *, limit: int, errors: Errors
) -> list[Any]:
    """Runs ``call`` on each item, at most ``limit`` at a time.

    Args:
        calls: The items.
        call: What to do with one.
        limit: Most at a time.
        errors: ``"raise"`` ends all at the first error; ``"collect"`` puts each error in its item's place.

    Raises:
        ConduitError: The first error, with ``errors="raise"``.
    """
    if errors not in ("raise", "collect"):
        raise ArgumentInvalid(f"errors must be 'raise' or 'collect', not {errors!r}.", argument="errors")
    results: list[Any] = [None] * len(calls)
    failure: list[Exception] = []
    todo = iter(enumerate(calls))

    async with anyio.create_task_group() as group:

        async def work() -> None:
            for position, item in todo:
                try:
                    results[position] = await call(item)
                except Exception as error:
                    if errors == "collect" and isinstance(error, ConduitError):
                        results[position] = error
                    else:
                        failure.append(error)
                        group.cancel_scope.cancel()
                        return

        for _ in range(min(limit, len(calls))):
            group.start_soon(work)
    if failure:
        raise failure[0]
    return results
