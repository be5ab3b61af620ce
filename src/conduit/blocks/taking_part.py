"""How a block that reads finds what the transaction around it has open."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from conduit.dataflow import transactions
from conduit.errors import TransactionError

T = TypeVar("T", bound=transactions.Part)


def known(key: Hashable, kind: type[T]) -> T | None:
    """The transaction's part under a key; ``None`` where it has none, and only what is committed can be read."""
    try:
        scope = transactions.current()
    except TransactionError:
        return None
    part = scope.known(key) if scope is not None else None
    return part if isinstance(part, kind) else None
