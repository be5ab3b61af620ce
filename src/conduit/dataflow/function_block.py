"""Blocks that give one value: from a function and from an ``async def`` function.

A call validates the arguments, runs the function and validates the result. In a flow's body it also becomes a task
of the flow; the bridge to Prefect is loaded there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from sys import modules
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls, mapping
from conduit.dataflow.block_base import BlockBase, bridge
from conduit.dataflow.futures import MAY_HOLD, BlockFuture, handles
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping import BATCH, Errors, ItemFailure, StoredResults

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)


class FunctionBlock(BlockBase, Generic[P, R_co]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[R_co]:
        """Starts the call and returns at once; in a flow its task runner runs it, outside one a thread."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: FunctionBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[R_co]: ...
    @overload
    def map(
        self: FunctionBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[R_co | ItemFailure]: ...
    def map(
        self,
        items: Any,
        *,
        batch: int = BATCH,
        batch_tokens: int | None = None,
        concurrency: int | None = None,
        errors: Errors = "raise",
        ledger: Ledger | str | None = None,
        **same: Any,
    ) -> list[Any]:
        """Calls the block with each item as its first argument; the results come in the items' order.

        In a flow each batch is one task. Retries are an item's own: a batch never pays twice for the rest.

        Args:
            items: The first arguments.
            batch: The most items that one task takes.
            batch_tokens: The most tokens that the items of one task may be to a model, as they are estimated; an
                item that is larger is a batch of its own. For blocks that a model answers.
            concurrency: How many items run at the same time over all batches. Without it a model's block takes
                what its replicas can, and a function's items run one after another within a batch.
            errors: ``raise`` starts no further batch once an item has failed and raises ``MapFailed``; ``finish``
                calls all items before it raises that; ``collect`` puts an ``ItemFailure`` in the place of each
                failed item.
            ledger: Where it is written how each item ended. A map that runs again under the same ledger takes from
                there what is done, and calls the block for the rest.
            same: Further arguments, the same for all items.

        Raises:
            MapFailed: Items failed; its ``failures`` maps their indexes to their errors.
            NotCacheable: With a ledger: an item, or a result, cannot be written as JSON.
            LedgerInUse: Another process maps under the ledger.
            LedgerUnavailable: The ledger cannot be read or written; what is on record stays.
        """
        work = mapping.job(
            self,
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
        )
        return self._mapped(work)  # type: ignore[no-any-return] # by the block's kind

    @overload
    def map_stored(
        self: FunctionBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> StoredResults[R_co]: ...
    @overload
    def map_stored(
        self: FunctionBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> StoredResults[R_co | ItemFailure]: ...
    def map_stored(
        self,
        items: Any,
        ledger: Ledger | str,
        *,
        batch: int = BATCH,
        batch_tokens: int | None = None,
        concurrency: int | None = None,
        errors: Errors = "raise",
        **same: Any,
    ) -> StoredResults[Any]:
        """``map`` whose results stay in the ledger, for more items or larger results than memory holds.

        Items are taken as they are needed, so they may come from a generator or another map's stored results.
        Arguments and errors are those of ``map``.
        """
        work = mapping.job(
            self,
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
            stored=True,
        )
        return self._mapped(work)  # type: ignore[no-any-return] # by the block's kind


class CoroutineBlock(BlockBase, Generic[P, R_co]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[R_co]:
        """Starts the call in a thread with a loop of its own; the future may be awaited."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: CoroutineBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[R_co]]: ...
    @overload
    def map(
        self: CoroutineBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[R_co | ItemFailure]]: ...
    def map(
        self,
        items: Any,
        *,
        batch: int = BATCH,
        batch_tokens: int | None = None,
        concurrency: int | None = None,
        errors: Errors = "raise",
        ledger: Ledger | str | None = None,
        **same: Any,
    ) -> Coroutine[Any, Any, list[Any]]:
        """See ``FunctionBlock.map``; to be awaited. Without ``concurrency`` 64 items run at the same time."""
        work = mapping.job(
            self,
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
        )
        return self._mapped(work)  # type: ignore[no-any-return] # by the block's kind

    @overload
    def map_stored(
        self: CoroutineBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[R_co]]: ...
    @overload
    def map_stored(
        self: CoroutineBlock[Concatenate[S, Q], R_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[R_co | ItemFailure]]: ...
    def map_stored(
        self,
        items: Any,
        ledger: Ledger | str,
        *,
        batch: int = BATCH,
        batch_tokens: int | None = None,
        concurrency: int | None = None,
        errors: Errors = "raise",
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[Any]]:
        """See ``FunctionBlock.map_stored``; to be awaited."""
        work = mapping.job(
            self,
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
            stored=True,
        )
        return self._mapped(work)  # type: ignore[no-any-return] # by the block's kind
