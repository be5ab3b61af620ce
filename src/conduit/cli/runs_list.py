"""``conduit runs``: the newest flow runs of the project, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from conduit import settings as settings_module
from conduit.cli.render import age, command, table
from conduit.store import FlowRun, FlowTotals, open_store

SHOWN_ID = 8
_NUMBERS = ("calls", "failed", "cached", "tokens", "cost $")


def run(*, limit: int, as_json: bool) -> None:
    """Prints them, newest first."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        store = open_store(settings)
        found = [(each, store.flow_run_totals(each.id)) for each in store.flow_runs(limit=limit)]
        document = {"project": settings.project, "runs": [run_document(*each) for each in found]}
        screen.result(document, lambda out: _show(out, settings.project, found))


def run_document(run: FlowRun, totals: FlowTotals) -> dict[str, Any]:
    """A run and its sums, without those of each block."""
    sums = asdict(totals)
    for name in ("by_block", "started_at", "ended_at"):
        del sums[name]
    return asdict(run) | {"totals": sums}


def usd(cost_usd: float | None) -> str:
    """What model calls cost."""
    return "-" if cost_usd is None else f"{cost_usd:.4f}"


def _show(out: Console, project: str, found: Sequence[tuple[FlowRun, FlowTotals]]) -> None:
    if not found:
        out.print(f"No flow run of {project} called a block, as far as the records know.", soft_wrap=True)
        return
    rows = table("run", "flow", "state", "began", *_NUMBERS, right=_NUMBERS)
    for each, totals in found:
        rows.add_row(
            f"{each.name} {each.id[:SHOWN_ID]}",
            each.flow,
            each.state,
            f"{age(each.started_at)} ago",
            f"{totals.block_calls:,}",
            f"{totals.failed:,}",
            f"{totals.cached:,}",
            f"{totals.prompt_tokens + totals.completion_tokens:,}",
            usd(totals.cost_usd),
        )
    out.print(rows)
