"""A submitted block's result to come: the same handle in a flow and outside one.

A handle may be given to another block in place of its value; that block then waits for it, and in a flow the
graph shows the edge.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Generic, Protocol, TypeVar

import anyio.to_thread

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Handle(Protocol[R_co]):
    """What a ``BlockFuture`` stands on: a thread's future, or a Prefect one behind the bridge."""

    def result(self, timeout: float | None = None) -> R_co:
        """The value, or the call's error raised, or ``TimeoutError``."""
        ...

    def done(self) -> bool:
        """Whether the call has ended."""
        ...


class BlockFuture(Generic[R_co]):
    """The result of ``block.submit(...)``; ``result()`` waits for it, ``await future`` does in async code."""

    def __init__(self, handle: Handle[R_co]) -> None:
        self.handle = handle

    def result(self, timeout_s: float | None = None) -> R_co:
        """Waits for the value.

        Raises:
            TimeoutError: It did not come in time; the call goes on.
            Exception: Whatever the call raised.
        """
        return self.handle.result(timeout_s)

    @property
    def done(self) -> bool:
        """Whether the call has ended, well or not."""
        return self.handle.done()

    def __await__(self) -> Generator[Any, Any, R_co]:
        return anyio.to_thread.run_sync(self.result).__await__()

    def __repr__(self) -> str:
        return f"<BlockFuture {'done' if self.done else 'pending'}>"


def in_thread(call: Callable[[], T], name: str) -> BlockFuture[T]:
    """Runs a call in a thread of its own; the process waits for it at its end."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name=f"conduit-{name}").start()
    return BlockFuture(future)


# The types of arguments that may be or hold a handle: nearly no call has one, and asks no more than this.
MAY_HOLD = frozenset((BlockFuture, list, tuple, dict))


def holds_handle(argument: Any) -> bool:
    """Whether an argument is a handle or a list, tuple or dict of handles; the first item tells."""
    kind = type(argument)
    if kind is list or kind is tuple:
        return bool(argument) and isinstance(argument[0], BlockFuture)
    if kind is dict:
        return bool(argument) and isinstance(next(iter(argument.values())), BlockFuture)
    return isinstance(argument, BlockFuture)


def handles(args: Iterable[Any]) -> list[BlockFuture[Any]]:
    """The handles among arguments and in their containers."""
    found: list[BlockFuture[Any]] = []
    for argument in args:
        if isinstance(argument, BlockFuture):
            found.append(argument)
        elif holds_handle(argument):
            parts = argument.values() if isinstance(argument, dict) else argument
            found += [part for part in parts if isinstance(part, BlockFuture)]
    return found


def resolved(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with the values of handles in their place; waits for them."""
    return tuple(map(_value, args)), {k: _value(v) for k, v in kwargs.items()}


def _value(argument: Any) -> Any:
    if isinstance(argument, BlockFuture):
        return argument.result()
    if not holds_handle(argument):
        return argument
    if isinstance(argument, dict):
        return {k: _value(v) for k, v in argument.items()}
    return type(argument)(map(_value, argument))
