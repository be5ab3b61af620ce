"""What all kinds of blocks share: a call that runs elsewhere, and many calls at once, typed by what one call gives.

Of a generator that is the list of its items, of a stream the value that ends it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping import BATCH, Errors, ItemFailure, StoredResults

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
V_co = TypeVar("V_co", covariant=True)


class Mappable(BlockBase, Generic[P, V_co]):
    """A block whose maps give their results."""

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[V_co]:
        """Starts the call and returns at once; in a flow its task runner runs it, outside one a thread.

        A generator runs to its end there, and its value is the list of its items; a stream's is its last event.
        """
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: Mappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[V_co]: ...
    @overload
    def map(
        self: Mappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> list[V_co | ItemFailure]: ...
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
        return self._mapped(  # type: ignore[no-any-return] # by the block's kind
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
        )

    @overload
    def map_stored(
        self: Mappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> StoredResults[V_co]: ...
    @overload
    def map_stored(
        self: Mappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> StoredResults[V_co | ItemFailure]: ...
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
        return self._mapped(  # type: ignore[no-any-return] # by the block's kind
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
            stored=True,
        )


class AsyncMappable(BlockBase, Generic[P, V_co]):
    """A block whose maps are awaited."""

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> BlockFuture[V_co]:
        """Starts the call in a thread with a loop of its own; the future may be awaited."""
        return self._submitted(self.bound + args, kwargs)

    @overload
    def map(
        self: AsyncMappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[V_co]]: ...
    @overload
    def map(
        self: AsyncMappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        ledger: Ledger | str | None = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, list[V_co | ItemFailure]]: ...
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
        """See ``Mappable.map``; to be awaited. Without ``concurrency`` 64 items run at the same time."""
        return self._mapped(  # type: ignore[no-any-return] # by the block's kind
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
        )

    @overload
    def map_stored(
        self: AsyncMappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["raise", "finish"] = ...,
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[V_co]]: ...
    @overload
    def map_stored(
        self: AsyncMappable[Concatenate[S, Q], V_co],
        items: Iterable[S],
        ledger: Ledger | str,
        *,
        batch: int = ...,
        batch_tokens: int | None = ...,
        concurrency: int | None = ...,
        errors: Literal["collect"],
        **same: Any,
    ) -> Coroutine[Any, Any, StoredResults[V_co | ItemFailure]]: ...
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
        """See ``Mappable.map_stored``; to be awaited."""
        return self._mapped(  # type: ignore[no-any-return] # by the block's kind
            items,
            same,
            batch=batch,
            batch_tokens=batch_tokens,
            concurrency=concurrency,
            errors=errors,
            ledger=ledger,
            stored=True,
        )
