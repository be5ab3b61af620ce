"""A batch: some items of a map that run together, with all that another process needs to run them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from conduit.dataflow import futures
from conduit.dataflow.mapping.job import Job


@dataclass
class Batch:
    """Some items of a map.

    Attributes:
        job: The map that they are of.
        indexes: Each item's place in the map, ascending; a ledger's may have gaps.
        items: The items.
        keys: Under which the ledger knows each of them.
        moved: Whether this is a copy in another process.
        told: Whether the items' ends were told to whoever watches; they are not from another process.
    """

    job: Job
    indexes: list[int]
    items: list[Any]
    keys: list[str] | None = None
    moved: bool = False
    told: bool = field(default=False, compare=False)

    @property
    def label(self) -> str:
        """The batch's place in the map, as a slice; in a ledger's map some of it may have been done before."""
        return f"[{self.indexes[0]}:{self.indexes[-1] + 1}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process gets this batch's items only, waits for no handle of this one, and makes slots of its own.
        same = futures.resolved((), self.job.same)[1]
        items = [futures.resolved((item,), {})[0][0] for item in self.items]
        own = replace(
            self.job, items=(), source=None, same=same, slots=None, book=None, progress=None, over=None
        )
        return Batch, (own, self.indexes, items, self.keys, True)
