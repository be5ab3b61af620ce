"""Blocks that give many values: from a generator function and from an asynchronous one.

Iteration stays lazy, in a flow too; ``submit`` and ``map`` run the generator to its end and give lists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls, mapping
from conduit.dataflow.block_base import BlockBase, bridge
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping import BATCH, Errors, ItemFailure, StoredResults

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
Y_co = TypeVar("Y_co", covariant=True)


class GeneratorBlock(BlockBase, Generic[P, Y_co]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[list[Y_co]]:
        """Runs the generator to its end elsewhere; the future's value is the list of its items."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: GeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[list[Y_co]]: ...
    @overload
    def map(
        self: GeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[list[Y_co] | ItemFailure]: ...
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
        """See ``FunctionBlock.map``; an item's result is the list of what the generator yielded for it."""
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
        self: GeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> StoredResults[list[Y_co]]: ...
    @overload
    def map_stored(
        self: GeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> StoredResults[list[Y_co] | ItemFailure]: ...
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
        """See ``FunctionBlock.map_stored``."""
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


class AsyncGeneratorBlock(BlockBase, Generic[P, Y_co]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[list[Y_co]]:
        """Runs the generator to its end elsewhere; the future's value is the list of its items."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: AsyncGeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[list[Y_co]]]: ...
    @overload
    def map(
        self: AsyncGeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[list[Y_co] | ItemFailure]]: ...
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
        """See ``GeneratorBlock.map``; to be awaited."""
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
        self: AsyncGeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[list[Y_co]]]: ...
    @overload
    def map_stored(
        self: AsyncGeneratorBlock[Concatenate[S, Q], Y_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[list[Y_co] | ItemFailure]]: ...
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
