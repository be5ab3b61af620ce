"""The signatures of blocks that give rows.

Such a block returns ``list[dict[str, Any]]``, or ``list[T]`` with ``row_type=T``: two signatures in one block,
which a decorator's types cannot carry, so they are spelled out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar, overload

from pydantic import SecretStr

from conduit.blocks.records import BadLine, Parameters
from conduit.dataflow import BlockFuture, block

T = TypeVar("T")
Errors = Literal["raise", "collect"]
TableFormat = Literal["parquet", "csv"]


def shown(function: Callable[..., Any]) -> Any:
    """The block of a function ``_name``, under the name ``name`` by which its module shows it."""
    function.__name__ = function.__qualname__ = function.__name__.removeprefix("_")
    return block(function)


class RowsBlock(Protocol):
    """What all of them have besides their calls."""

    name: str

    def with_options(self, **options: Any) -> Self:
        """The same block with other options, as of every block."""


class QueryBlock(RowsBlock, Protocol):
    """A block that reads rows from a database in a file."""

    @overload
    def __call__(
        self,
        database: str | Path,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: None = ...,
        lock_timeout_s: float = ...,
    ) -> list[dict[str, Any]]: ...

    @overload
    def __call__(
        self,
        database: str | Path,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: type[T],
        lock_timeout_s: float = ...,
    ) -> list[T]: ...

    @overload
    def submit(
        self,
        database: str | Path,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: None = ...,
        lock_timeout_s: float = ...,
    ) -> BlockFuture[list[dict[str, Any]]]: ...

    @overload
    def submit(
        self,
        database: str | Path,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: type[T],
        lock_timeout_s: float = ...,
    ) -> BlockFuture[list[T]]: ...


class ServerQueryBlock(RowsBlock, Protocol):
    """A block that reads rows from a database server."""

    @overload
    def __call__(
        self,
        database: str | SecretStr,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: None = ...,
        timeout_s: float = ...,
    ) -> list[dict[str, Any]]: ...

    @overload
    def __call__(
        self,
        database: str | SecretStr,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: type[T],
        timeout_s: float = ...,
    ) -> list[T]: ...

    @overload
    def submit(
        self,
        database: str | SecretStr,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: None = ...,
        timeout_s: float = ...,
    ) -> BlockFuture[list[dict[str, Any]]]: ...

    @overload
    def submit(
        self,
        database: str | SecretStr,
        sql: str,
        parameters: Parameters = ...,
        *,
        row_type: type[T],
        timeout_s: float = ...,
    ) -> BlockFuture[list[T]]: ...


class LinesBlock(RowsBlock, Protocol):
    """A block that reads a file of JSON lines."""

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        errors: Errors = ...,
        max_bytes: int = ...,
    ) -> list[Any]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["raise"] = ...,
        max_bytes: int = ...,
    ) -> list[T]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["collect"],
        max_bytes: int = ...,
    ) -> list[T | BadLine]: ...

    @overload
    def submit(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        errors: Errors = ...,
        max_bytes: int = ...,
    ) -> BlockFuture[list[Any]]: ...

    @overload
    def submit(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["raise"] = ...,
        max_bytes: int = ...,
    ) -> BlockFuture[list[T]]: ...

    @overload
    def submit(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["collect"],
        max_bytes: int = ...,
    ) -> BlockFuture[list[T | BadLine]]: ...


class LinesInBatchesBlock(RowsBlock, Protocol):
    """A block that reads a file of JSON lines a batch at a time."""

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        errors: Errors = ...,
        batch_rows: int = ...,
    ) -> Iterator[list[Any]]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["raise"] = ...,
        batch_rows: int = ...,
    ) -> Iterator[list[T]]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        errors: Literal["collect"],
        batch_rows: int = ...,
    ) -> Iterator[list[T | BadLine]]: ...


class TableBlock(RowsBlock, Protocol):
    """A block that reads tables from files."""

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        format: TableFormat | None = ...,
        max_rows: int = ...,
    ) -> list[dict[str, Any]]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        format: TableFormat | None = ...,
        max_rows: int = ...,
    ) -> list[T]: ...

    @overload
    def submit(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        format: TableFormat | None = ...,
        max_rows: int = ...,
    ) -> BlockFuture[list[dict[str, Any]]]: ...

    @overload
    def submit(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        format: TableFormat | None = ...,
        max_rows: int = ...,
    ) -> BlockFuture[list[T]]: ...


class TableInBatchesBlock(RowsBlock, Protocol):
    """A block that reads tables from files a batch at a time."""

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: None = ...,
        format: TableFormat | None = ...,
        batch_rows: int = ...,
    ) -> Iterator[list[dict[str, Any]]]: ...

    @overload
    def __call__(
        self,
        path: str | Path,
        *,
        row_type: type[T],
        format: TableFormat | None = ...,
        batch_rows: int = ...,
    ) -> Iterator[list[T]]: ...
