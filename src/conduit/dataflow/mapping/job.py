"""A map as it was asked for: what is called, in which portions, and what a failure means.

Only what is asked for is checked here; cutting, calling and gathering stand in modules of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sized
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import anyio

from conduit.dataflow import futures
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee
from conduit.dataflow.ledger import Book, Ledger
from conduit.dataflow.progress import Progress
from conduit.errors import BlockDefinitionError, BlockInputError

Errors = Literal["raise", "finish", "collect"]

BATCH = 64
_ASYNC_CONCURRENCY = 64


@dataclass(frozen=True)
class ItemFailure:
    """Stands in a map's results for an item that failed.

    Attributes:
        index: The item's place in the map.
        error: What its call raised.
    """

    index: int
    error: Exception


@dataclass
class Job:
    """One map over one block.

    Attributes:
        items: The first arguments.
        same: Further arguments, the same for all items.
        batch: Most items of a batch.
        concurrency: Items at the same time over all batches; ``None``: one after another within a batch.
        errors: What a failed item means for the others: no further batch, nothing, or nothing for the map either.
        batch_tokens: Most tokens of a batch, as they are estimated.
        ledger: Where it is written how each item ended.
        stored: Whether results stay in the ledger instead of being returned.
        source: The items as they were given, by which their makers are known.
        id: The same in the records of all items.
        slots: What runs the items of all batches; set while the map runs, never sent to another process.
        book: The open ledger; likewise.
        progress: Whoever watches; likewise.
        over: What ended the map, so that no further item is called.
    """

    items: Iterable[Any]
    same: dict[str, Any]
    batch: int
    concurrency: int | None
    errors: Errors = "raise"
    batch_tokens: int | None = None
    ledger: Ledger | None = None
    stored: bool = False
    source: Any = None
    id: str = field(default_factory=lambda: uuid4().hex)
    slots: Executor | anyio.Semaphore | None = field(default=None, compare=False)
    book: Book | None = field(default=None, compare=False)
    progress: Progress | None = field(default=None, compare=False)
    over: Exception | None = field(default=None, compare=False)

    @property
    def collects(self) -> bool:
        """Whether failures stand among the results instead of ending the map."""
        return self.errors == "collect"

    @property
    def total(self) -> int | None:
        """How many items there are, where that is known before the last one was taken."""
        return len(self.items) if isinstance(self.items, Sized) else None


def job(
    block: Callee,
    items: Iterable[Any],
    same: dict[str, Any],
    *,
    batch: int = BATCH,
    batch_tokens: int | None = None,
    concurrency: int | None = None,
    errors: Errors = "raise",
    ledger: Ledger | str | None = None,
    stored: bool = False,
) -> Job:
    """Checks a map's arguments.

    Raises:
        BlockInputError: One of them makes no sense.
        BlockDefinitionError: The block has no parameter for an item.
    """
    name = block.options.name
    _check_parameters(block)
    counts = {"batch": batch, "batch_tokens": batch_tokens, "concurrency": concurrency}
    for option, value in counts.items():
        if (value is None and option != "batch") or (type(value) is int and value >= 1):
            continue
        raise _refused(name, option, value, "a whole number from 1")
    if batch_tokens is not None and block.definition.estimated_tokens is None:
        raise BlockInputError(
            f"{name}.map got batch_tokens={batch_tokens}, and {name} asks no model: its items have no tokens.",
            hint="batch=... bounds how many items one batch takes.",
            block=name,
            parameter="batch_tokens",
        )
    if errors not in ("raise", "finish", "collect"):
        raise _refused(name, "errors", errors, '"raise", "finish" or "collect"')
    if isinstance(ledger, str):
        ledger = Ledger(ledger)
    elif not isinstance(ledger, Ledger | None) or (stored and ledger is None):
        raise _refused(name, "ledger", ledger, 'a name, or Ledger("name")')
    source = futures.resolved((items,), {})[0][0]
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise _refused(name, "items", source, "several items, as a list")
    if ledger is not None:
        # What decides a call's result is asked for values and not for handles.
        same = futures.resolved((), same)[1]
    if concurrency is None:
        concurrency = block.definition.parallelism
        if concurrency is None and block.definition.kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
            concurrency = _ASYNC_CONCURRENCY
    return Job(
        items=source if stored else list(source),
        same=same,
        batch=batch,
        concurrency=concurrency,
        errors=errors,
        batch_tokens=batch_tokens,
        ledger=ledger,
        stored=stored,
        source=source,
    )


def tokens_of(block: Callee, work: Job) -> Callable[[Any], int] | None:
    """What estimates an item's tokens, where batches are cut by them."""
    estimated = block.definition.estimated_tokens
    if work.batch_tokens is None or estimated is None:
        return None
    return lambda item: estimated((*block.bound, item), work.same)


def _check_parameters(block: Callee) -> None:
    name = block.options.name
    parameters = list(block.definition.contract.signature.parameters.values())[len(block.bound) :]
    if not parameters or parameters[0].kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise BlockDefinitionError(
            f"Block {name!r} cannot map: it has no positional parameter for an item.",
            hint="map gives each item as the first argument.",
            block=name,
        )


def _refused(name: str, option: str, value: object, expected: str) -> BlockInputError:
    return BlockInputError(
        f"{name}.map got {option}={value!r:.80}.",
        hint=f"{option} takes {expected}.",
        block=name,
        parameter=option,
    )
