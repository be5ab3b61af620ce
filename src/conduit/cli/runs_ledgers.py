"""``conduit runs ledgers``: the project's ledgers, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.filesize import decimal

from conduit import settings as settings_module
from conduit.cli.render import age, command, table
from conduit.store import LedgerSummary, open_store

_NUMBERS = ("done", "failed", "size")


def run(*, as_json: bool) -> None:
    """Prints them, the one that was written last first."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        found = open_store(settings).ledgers()
        document = {"project": settings.project, "ledgers": [asdict(each) for each in found]}
        screen.result(document, lambda out: _show(out, found))


def _show(out: Console, found: Sequence[LedgerSummary]) -> None:
    if not found:
        out.print('There is no ledger: block.map(items, ledger="name") begins one.')
        return
    rows = table("ledger", "blocks", *_NUMBERS, "last item", right=_NUMBERS)
    for each in found:
        rows.add_row(
            each.name,
            ", ".join(each.blocks),
            f"{each.done:,}",
            f"{each.failed:,}",
            decimal(each.bytes),
            f"{age(each.last_at)} ago",
        )
    out.print(rows)
