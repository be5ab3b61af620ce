"""Blocks whose values are seen while a model writes them: growing partial values, then the value.

A call gives the events lazily, in a flow too, where its task lasts as long as the stream. ``submit`` and ``map``
give the values alone, without the partial ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, overload

from conduit.dataflow import calls, mapping
from conduit.dataflow.block_base import BlockBase, bridge
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping import BATCH, Errors, ItemFailure, StoredResults
from conduit.mdl import Partial

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
R = TypeVar("R")


class StreamBlock(BlockBase, Generic[P, R]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[R]:
        """Starts the call elsewhere; the future gives the stream's last event, the value."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: StreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[R]: ...
    @overload
    def map(
        self: StreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[R | ItemFailure]: ...
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
        """See ``FunctionBlock.map``; the results are the values."""
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
        self: StreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> StoredResults[R]: ...
    @overload
    def map_stored(
        self: StreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> StoredResults[R | ItemFailure]: ...
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


class AsyncStreamBlock(BlockBase, Generic[P, R]):
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

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[R]:
        """Starts the call elsewhere; the future gives the stream's last event, the value."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: AsyncStreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[R]]: ...
    @overload
    def map(
        self: AsyncStreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[R | ItemFailure]]: ...
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
        """See ``StreamBlock.map``; to be awaited."""
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
        self: AsyncStreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[R]]: ...
    @overload
    def map_stored(
        self: AsyncStreamBlock[Concatenate[S, Q], R],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[R | ItemFailure]]: ...
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
