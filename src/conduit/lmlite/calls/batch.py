"""Many calls at a time: as many as keep the replicas busy; results in order, or each as it comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

import anyio

from conduit.errors import ArgumentInvalid

T = TypeVar("T")

Errors = Literal["raise", "collect"]

Took = Callable[[tuple[int, Any]], Awaitable[None]]
"""Takes the place of a call and its result; the next call of that lane begins when it returns."""


def check_errors(errors: Errors) -> None:
    """Refuses what is no way to treat errors.

    Raises:
        ArgumentInvalid: It is neither ``raise`` nor ``collect``.
    """
    if errors not in ("raise", "collect"):
        raise ArgumentInvalid(f"errors must be 'raise' or 'collect', not {errors!r}.", argument="errors")


async def run_batch(
    calls: Sequence[T], call: Callable[[T], Awaitable[Any]], took: Took, *, limit: int, errors: Errors
) -> None:
    """Runs ``call`` on each item, at most ``limit`` at a time.

    Args:
        calls: The items.
        call: What to do with one.
        took: Takes each item's place and result.
        limit: Most at a time.
        errors: ``"raise"`` ends all at the first error; ``"collect"`` gives each error as its item's result.

    Raises:
        Exception: The first error, with ``errors="raise"``.
    """
    failure: list[Exception] = []
    todo = iter(enumerate(calls))

    async with anyio.create_task_group() as group:

        async def work() -> None:
            for position, item in todo:
                try:
                    result = await call(item)
                except Exception as error:
                    if errors == "raise":
                        failure.append(error)
                        group.cancel_scope.cancel()
                        return
                    result = error
                await took((position, result))

        for _ in range(min(limit, len(calls))):
            group.start_soon(work)
    if failure:
        raise failure[0]
