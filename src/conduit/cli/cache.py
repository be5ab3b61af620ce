"""``conduit cache``: what is kept of blocks' results, and its removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from conduit.cli.periods import seconds
from conduit.cli.render import AsJson, Screen, age, command, table

if TYPE_CHECKING:
    from conduit.dataflow.caching import BlockEntries, Shelf

cache_app = typer.Typer(
    help="Kept results of blocks: what there is, and its removal.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NUMBERS = ("entries", "size", "hits")
_Block = Annotated[
    str | None, typer.Option("--block", metavar="BLOCK", help="Only that block's: its name, or module:name.")
]


@cache_app.command()
def ls(*, block: _Block = None, as_json: AsJson = False) -> None:
    """Show what is kept: a row for each block."""
    with command(as_json=as_json) as screen:
        shelf = _shelf()
        found = _found(shelf, block)
        document = {
            "folder": shelf.folder,
            "max_bytes": shelf.max_bytes,
            "blocks": [asdict(each) for each in found],
        }
        screen.result(document, lambda out: _show(out, shelf, found))


@cache_app.command()
def clear(
    *,
    block: _Block = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Only what was made before: 30m, 24h, 7d."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove what is kept. Nothing is lost that a call would not make again."""
    with command(as_json=as_json) as screen:
        older_than_s = None if older_than is None else seconds(older_than, option="older-than")
        shelf = _shelf()
        names: list[str | None] = [each.block for each in _found(shelf, block)] if block else [None]
        removed = [shelf.clear(name, older_than_s) for name in names]
        _removed(screen, sum(entries for entries, _ in removed), sum(size for _, size in removed))


def _shelf() -> Shelf:
    from conduit import settings
    from conduit.dataflow.caching import open_shelf

    return open_shelf(settings.load())


def _found(shelf: Shelf, block: str | None) -> list[BlockEntries]:
    return [
        each
        for each in shelf.entries()
        if block is None or block in (each.block, each.block.partition(":")[2])
    ]


def _removed(screen: Screen, entries: int, size: int) -> None:
    screen.result(
        {"entries": entries, "bytes": size},
        lambda out: out.print(f"Removed {entries:,} results, {decimal(size)}."),
    )


def _show(out: Console, shelf: Shelf, found: Sequence[BlockEntries]) -> None:
    if not found:
        out.print("Nothing is kept. Blocks say that their results may be: @block(cache=True).")
        return
    rows = table("block", *_NUMBERS, "oldest", "newest", right=_NUMBERS)
    for each in found:
        rows.add_row(
            each.block,
            f"{each.entries:,}",
            decimal(each.bytes),
            f"{each.hits:,}",
            f"{age(each.oldest_at)} ago",
            f"{age(each.newest_at)} ago",
        )
    out.print(rows)
    total = sum(each.bytes for each in found)
    out.print(f"{decimal(total)} of at most {decimal(shelf.max_bytes)} in {shelf.folder}", soft_wrap=True)
