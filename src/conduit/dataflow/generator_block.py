"""Blocks that give many values: from a generator function and from an asynchronous one.

Iteration stays lazy, in a flow too; ``submit`` and ``map`` run the generator to its end and give lists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls
from conduit.dataflow.block_base import bridge
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.mappable import AsyncMappable, Mappable

P = ParamSpec("P")
Q = ParamSpec("Q")
Y_co = TypeVar("Y_co", covariant=True)


class GeneratorBlock(Mappable[P, list[Y_co]], Generic[P, Y_co]):
    """A block from a generator function: each item is validated when it is yielded."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Generator[Y_co, None, Any]:
        """Validates the arguments at once and the items as they come."""
        given = self.bound + args
        if flow_run_id() is not None:
            return bridge().iterate(self, given, kwargs)  # type: ignore[no-any-return] # the bridge is untyped
        return self.definition.invoke(*calls.given(given, kwargs))  # type: ignore[no-any-return] # its Y_co

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: GeneratorBlock[Concatenate[Any, Q], Y_co], instance: object, owner: type | None = None
    ) -> GeneratorBlock[Q, Y_co]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, Generator[Y_co, None, Any]]:
        """The undecorated function."""
        return self.definition.raw


class AsyncGeneratorBlock(AsyncMappable[P, list[Y_co]], Generic[P, Y_co]):
    """A block from an asynchronous generator function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Y_co, None]:
        """Validates the arguments at once and the items as they come."""
        given = self.bound + args
        if flow_run_id() is not None:
            return bridge().aiterate(self, given, kwargs)  # type: ignore[no-any-return] # the bridge is untyped
        return self.definition.invoke(*calls.given(given, kwargs))  # type: ignore[no-any-return] # its Y_co

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: AsyncGeneratorBlock[Concatenate[Any, Q], Y_co], instance: object, owner: type | None = None
    ) -> AsyncGeneratorBlock[Q, Y_co]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, AsyncIterator[Y_co]]:
        """The undecorated function."""
        return self.definition.raw
