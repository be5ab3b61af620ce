"""``conduit cost``: what deployments cost, deleted ones included, and where the money went."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.periods import seconds
from conduit.cli.render import command, duration, table
from conduit.lmlite import DeploymentCost

_SHOWN_KEY = 12
_COLUMNS = ("calls", "time", "calls $", "start $", "idle $", "total $", "billed $")


def run(*, since: str | None, everywhere: bool, as_json: bool) -> None:
    """Prints a row for each deployment, and the sum."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        from_s = None if since is None else time.time() - seconds(since)
        problems: list[str] = []
        found = lmlite.costs(settings, all_projects=everywhere, since=from_s, problems=problems)
        total = {
            "estimated_usd": sum(cost.estimated_usd for cost in found),
            "billed_usd": sum(cost.billed_usd or 0.0 for cost in found),
        }
        document = {
            "project": None if everywhere else settings.project,
            "since": from_s,
            "deployments": [_document(cost) for cost in found],
            "total": total,
            "problems": problems,
        }
        screen.result(document, lambda out: _show(out, found, problems))


def _document(cost: DeploymentCost) -> dict[str, Any]:
    return asdict(cost) | {"idle_usd": cost.idle_usd}


def _show(out: Console, found: Sequence[DeploymentCost], problems: Sequence[str]) -> None:
    if not found:
        out.print("Nothing has cost anything, as far as the records know.")
    rows = table("deployment", "provider", *_COLUMNS, right=_COLUMNS)
    for cost in found:
        rows.add_row(
            cost.name or f"{cost.deployment_key[:_SHOWN_KEY]}…",
            cost.provider,
            f"{cost.calls:,}",
            duration(cost.node_s),
            *(f"{usd:.4f}" for usd in (cost.calls_usd, cost.boot_usd, cost.idle_usd, cost.estimated_usd)),
            "-" if cost.billed_usd is None else f"{cost.billed_usd:.4f}",
        )
    if len(found) > 1:
        billed = [cost.billed_usd for cost in found if cost.billed_usd is not None]
        rows.add_row(
            "sum",
            "",
            f"{sum(cost.calls for cost in found):,}",
            duration(sum(cost.node_s for cost in found)),
            *(
                f"{sum(values):.4f}"
                for values in zip(
                    *((c.calls_usd, c.boot_usd, c.idle_usd, c.estimated_usd) for c in found), strict=True
                )
            ),
            f"{sum(billed):.4f}" if billed else "-",
        )
    if found:
        out.print(rows)
        out.print(
            "Total: the nodes' price by their time. Idle: what is neither start nor calls.", soft_wrap=True
        )
    for problem in problems:
        out.print(f"No bill: {problem}", soft_wrap=True)
