"""``conduit runs forget``: removes runs with their calls, or ledgers, from the records."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import typer

from conduit import settings as settings_module
from conduit.cli.periods import seconds
from conduit.cli.render import Screen, command
from conduit.cli.runs_find import flow_run
from conduit.cli.runs_find import ledger as check_ledger
from conduit.errors import ArgumentInvalid
from conduit.store import Store, open_store


def run(runs: Sequence[str], *, ledgers: Sequence[str], before: str | None, yes: bool, as_json: bool) -> None:
    """Finds all that is meant first, so that a slip removes nothing."""
    with command(as_json=as_json) as screen:
        store = open_store(settings_module.load())
        if not runs and not ledgers and before is None:
            raise ArgumentInvalid(
                "Nothing is named that is to be forgotten.",
                hint="Give a run, --ledger NAME, or --before 30d.",
                argument="runs",
            )
        limit = None if before is None else time.time() - seconds(before, option="before")
        found = [flow_run(store, text) for text in dict.fromkeys(runs)]
        for name in ledgers:
            check_ledger(store, name)
        what = [f"run {each.name}" for each in found] + [f"ledger {name}" for name in ledgers]
        if before is not None:
            what.append(f"all runs and calls older than {before}")
        if not yes:
            _ask(screen, what)
        removed = sum(_forget_ledger(store, name) for name in dict.fromkeys(ledgers))
        removed += sum(store.forget_flow_run(each.id) for each in found)
        if limit is not None:
            removed += store.forget_before(limit)
        document = {"forgotten": what, "rows": removed}
        screen.result(document, lambda out: out.print(f"Forgotten: {', '.join(what)}: {removed:,} rows."))


def _forget_ledger(store: Store, name: str) -> int:
    from conduit.dataflow import ledger  # it imports what blocks need, which the other commands do not

    with ledger.opened(ledger.Ledger(name)):  # refused while another process maps under it
        return store.ledger_delete(name)


def _ask(screen: Screen, what: Sequence[str]) -> None:
    if screen.as_json or not sys.stdin.isatty():
        raise ArgumentInvalid(
            f"Nothing was forgotten: {', '.join(what)} would be, and here is nobody to ask.",
            hint="Give --yes.",
            argument="yes",
        )
    if not typer.confirm(f"Forget {', '.join(what)}?", err=True):
        raise typer.Exit(1)
