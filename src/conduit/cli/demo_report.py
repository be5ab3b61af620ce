"""What the demo has to show: the tickets, the counts, and what the run log says of the calls behind them."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from conduit.blocks import duckdb_query
from conduit.cli.render import table
from conduit.errors import ConduitError
from conduit.settings import Settings
from conduit.store import ModelCall, open_store

SHOWN_ROWS = 8
_LEAST_MESSAGE_WIDTH, _OTHER_COLUMNS_WIDTH = 24, 48


@dataclass
class Report:
    """One run of the demo.

    Attributes:
        tickets: One row a message, in their order.
        summary: One row a topic.
        answers: How many answers each replica gave.
        latency_s: Median and 95th percentile of a call, from its start to the typed value.
        seconds: Of the flow and of the whole demo.
    """

    model: str
    flow_run: dict[str, str]
    database: str
    messages: list[str]
    tickets: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    tokens: dict[str, int]
    latency_s: dict[str, float]
    answers: dict[str, int]
    retried: int
    kept: bool
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        settings: Settings,
        messages: list[str],
        database: Path,
        api_url: str,
        flow: Mapping[str, Any],
        *,
        model: str,
        kept: bool,
    ) -> Report:
        """Reads the report of a completed flow run from the database and the run log.

        Raises:
            ConduitError: A message has no ticket or no row in the run log.
        """
        tickets = duckdb_query(str(database), "SELECT * FROM tickets ORDER BY rowid")
        calls = open_store(settings).model_calls(limit=10 * len(messages), flow_run_id=flow["id"])
        if not len(messages) == len(tickets) == len(calls):
            raise ConduitError(
                f"{len(messages)} messages gave {len(tickets)} tickets and {len(calls)} rows in the run log.",
                hint=f"The flow's log: {database.parent / 'flow.log'}.",
            )
        return cls(
            model=model,
            flow_run={
                "id": flow["id"],
                "state": flow["state"],
                "url": f"{api_url.rstrip('/').removesuffix('/api')}/runs/flow-run/{flow['id']}",
            },
            database=str(database),
            messages=messages,
            tickets=tickets,
            summary=flow["summary"],
            tokens={
                "prompt": sum(call.prompt_tokens for call in calls),
                "completion": sum(call.completion_tokens for call in calls),
            },
            latency_s={"p50": _percentile(calls, 0.50), "p95": _percentile(calls, 0.95)},
            answers=dict(sorted(Counter(call.replica or "unknown" for call in calls).items())),
            retried=sum(call.attempts > 1 for call in calls),
            kept=kept,
            seconds={"flow": flow["seconds"]},
        )

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {"ok": True, **asdict(self), "next": next_steps(self)}


def show(out: Console, report: Report) -> None:
    """Prints the report."""
    rows = table("message", "order_id", "amount", "topic", "urgent", right=("amount",))
    rows.columns[0].overflow, rows.columns[0].no_wrap = "ellipsis", True
    rows.columns[0].max_width = max(_LEAST_MESSAGE_WIDTH, out.width - _OTHER_COLUMNS_WIDTH)
    shown = list(zip(report.messages, report.tickets, strict=True))[:SHOWN_ROWS]
    for message, ticket in shown:
        rows.add_row(" ".join(message.split()), *_cells(ticket, "order_id", "amount", "topic", "urgent"))
    out.print()
    out.print(rows)
    out.print(f"… and {len(report.tickets) - len(shown)} more in {report.database}", soft_wrap=True)
    counts = table("topic", "messages", "urgent", "amount", right=("messages", "urgent", "amount"))
    for line in report.summary:
        counts.add_row(*_cells(line, "topic", "messages", "urgent", "amount"))
    out.print()
    out.print(counts)
    out.print()
    calls, tokens, latency = len(report.tickets), report.tokens, report.latency_s
    facts = {
        "model": f"{report.model}: {calls} typed answers, {report.retried} of them asked for again",
        "tokens": f"{tokens['prompt']} read, {tokens['completion']} written",
        "latency": f"p50 {latency['p50'] * 1000:.0f} ms, p95 {latency['p95'] * 1000:.0f} ms a call",
        "replicas": ", ".join(f"{name} gave {count}" for name, count in report.answers.items()),
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in report.seconds.items()),
        "flow run": report.flow_run["url"],
    }
    for name, fact in facts.items():
        out.print(Text.assemble((f"{name:<9} ", "bold"), fact), soft_wrap=True)
    out.print(Text("\nNext", "bold"))
    for step in next_steps(report):
        out.print(f"  {step}", soft_wrap=True)


def next_steps(report: Report) -> list[str]:
    """What to try now, each a line that can be typed, with what it does."""
    program = Path(sys.executable).with_name("conduit")
    here = program.is_relative_to(
        Path.cwd()
    )  # in an environment that may not be active, as after `make demo`
    conduit = str(program.relative_to(Path.cwd())) if here else "conduit"
    kept, ended = (
        ("down", "stops the UI and the replicas"),
        ("demo --keep", "leaves the UI up: see the graph"),
    )
    steps = [
        kept if report.kept else ended,
        ("demo --model Qwen/Qwen3-0.6B", "a larger model, from the hub"),
        ("doctor", "checks this machine"),
    ]
    lines = [(f"{conduit} {arguments}", what) for arguments, what in steps]
    lines.append((f"cp {Path(__file__).with_name('inbox.py')} .", "the flow: change it"))
    width = max(len(typed) for typed, _ in lines)
    return [f"{typed:<{width}}  {what}" for typed, what in lines]


def _percentile(calls: Sequence[ModelCall], share: float) -> float:
    ordered = sorted(call.latency_s for call in calls)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _cells(row: Mapping[str, Any], *names: str) -> list[str]:
    return [_cell(row[name]) for name in names]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return "-" if value is None else str(value)
