"""Blocks whose values are seen while a model writes them: growing partial values, then the value.

A call gives the events lazily, in a flow too, where its task lasts as long as the stream. ``submit`` and ``map``
give the values alone, without the partial ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls
from conduit.dataflow.block_base import bridge
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.mappable import AsyncMappable, Mappable
from conduit.mdl import Partial

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class StreamBlock(Mappable[P, R]):
    """A block that a model answers with a stream."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Generator[Partial[R] | R, None, None]:
        """Validates the arguments at once; the model is asked with the first event, and closing this ends it."""
        given = self.bound + args
        if flow_run_id() is not None:
            return bridge().iterate(self, given, kwargs)  # type: ignore[no-any-return] # the bridge is untyped
        return self.definition.invoke(*calls.given(given, kwargs))  # type: ignore[no-any-return] # its R

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: StreamBlock[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> StreamBlock[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, Iterator[Partial[R] | R]]:
        """The model's stream without validated arguments."""
        return self.definition.raw


class AsyncStreamBlock(AsyncMappable[P, R]):
    """A block that a model answers with a stream for ``async for``."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Partial[R] | R, None]:
        """See ``StreamBlock``."""
        given = self.bound + args
        if flow_run_id() is not None:
            return bridge().aiterate(self, given, kwargs)  # type: ignore[no-any-return] # the bridge is untyped
        return self.definition.invoke(*calls.given(given, kwargs))  # type: ignore[no-any-return] # its R

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: AsyncStreamBlock[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> AsyncStreamBlock[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, AsyncIterator[Partial[R] | R]]:
        """The model's stream without validated arguments."""
        return self.definition.raw
