"""Blocks that give one value: from a function and from an ``async def`` function.

A call validates the arguments, runs the function and validates the result. In a flow's body it also becomes a task
of the flow; the bridge to Prefect is loaded there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from sys import modules
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls
from conduit.dataflow.block_base import bridge
from conduit.dataflow.futures import MAY_HOLD, handles
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.mappable import AsyncMappable, Mappable

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)


class FunctionBlock(Mappable[P, R_co]):
    """A block from a function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Validates the arguments, runs the function, validates the result.

        Raises:
            BlockInputError: An argument does not fit.
            BlockOutputError: The result does not fit.
            BlockTimeout: ``timeout_s`` passed.
        """
        given: tuple[Any, ...] = self.bound + args if self.bound else args
        # Asked here before the function is: without Prefect this is the whole cost of flows to a call.
        if "prefect" in modules and flow_run_id() is not None:
            return bridge().call(self, given, kwargs)  # type: ignore[no-any-return] # the signature's R_co
        may_hold = kwargs or not MAY_HOLD.isdisjoint(map(type, given))
        if self._plain and not (may_hold and handles((*given, *kwargs.values()))):
            return self.definition.invoke(given, kwargs)  # type: ignore[no-any-return] # the signature's R_co
        return calls.full(self, given, kwargs)  # type: ignore[no-any-return] # the signature's R_co

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: FunctionBlock[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None
    ) -> FunctionBlock[Q, R_co]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, R_co]:
        """The undecorated function; for a model's block the model's answer without validated arguments."""
        return self.definition.raw


class CoroutineBlock(AsyncMappable[P, R_co]):
    """A block from an ``async def`` function: calls and maps are awaited."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """See ``FunctionBlock``."""
        given = self.bound + args
        if flow_run_id() is not None:
            return bridge().acall(self, given, kwargs)  # type: ignore[no-any-return] # the bridge is untyped
        return calls.full_async(self, given, kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self: CoroutineBlock[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None
    ) -> CoroutineBlock[Q, R_co]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    @property
    def raw(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The undecorated function."""
        return self.definition.raw
