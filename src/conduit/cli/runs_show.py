"""``conduit runs show``: one flow run, from its totals down to single calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console

from conduit import settings as settings_module
from conduit.cli.render import command, duration, table
from conduit.cli.runs_find import flow_run, newest_run
from conduit.cli.runs_list import run_document, usd
from conduit.store import BlockCall, BlockTotals, CallState, FlowRun, FlowTotals, open_store

_SHOWN_CALLS = 5
_NUMBERS = ("calls", "failed", "cached", "p50", "p95", "model calls", "tokens", "cost $")


def run(text: str | None, *, as_json: bool) -> None:
    """Prints the run that is meant, or the newest."""
    with command(as_json=as_json) as screen:
        store = open_store(settings_module.load())
        found = newest_run(store) if text is None else flow_run(store, text)
        totals = store.flow_run_totals(found.id)
        slowest = store.block_calls(limit=_SHOWN_CALLS, flow_run_id=found.id, slowest=True)
        failed = store.block_calls(limit=_SHOWN_CALLS, flow_run_id=found.id, state=CallState.FAILED)
        document = run_document(found, totals) | {
            "by_block": [asdict(each) for each in totals.by_block],
            "slowest": [_document(found, call) for call in slowest],
            "failed": [_document(found, call) for call in failed],
        }
        screen.result(document, lambda out: _show(out, found, totals, slowest, failed))


def task_run_url(run: FlowRun, call: BlockCall) -> str | None:
    """Of the call's task in the Prefect UI."""
    if run.url is None or call.task_run_id is None or "/flow-run/" not in run.url:
        return None
    return f"{run.url.split('/flow-run/')[0]}/task-run/{call.task_run_id}"


def _document(run: FlowRun, call: BlockCall) -> dict[str, Any]:
    return asdict(call) | {"url": task_run_url(run, call)}


def _show(
    out: Console,
    run: FlowRun,
    totals: FlowTotals,
    slowest: Sequence[BlockCall],
    failed: Sequence[BlockCall],
) -> None:
    began = datetime.fromtimestamp(run.started_at).astimezone()
    lasted = duration((time.time() if run.ended_at is None else run.ended_at) - run.started_at)
    facts = {
        "run": f"{run.name} ({run.id})",
        "flow": run.flow,
        "state": run.state,
        "began": f"{began:%Y-%m-%d %H:%M:%S %z}, {lasted} {'so far' if run.ended_at is None else 'long'}",
        "calls": f"{totals.block_calls:,}: {totals.done:,} done, {totals.failed:,} failed, "
        f"{totals.cached:,} cached",
        "model": _of_models(totals),
        "page": run.url or "-",
    }
    for name, text in facts.items():
        out.print(f"{name + ':':<7}{text}", soft_wrap=True)
    if totals.by_block:
        rows = table("block", *_NUMBERS, right=_NUMBERS)
        for each in totals.by_block:
            rows.add_row(*_row(each))
        out.print()
        out.print(rows)
    _show_calls(out, "Failed last", run, failed)
    _show_calls(out, "Slowest", run, slowest)
    if failed:
        out.print(f"\n`conduit runs failed --run {run.id}` shows all that failed.", soft_wrap=True)


def _of_models(totals: FlowTotals) -> str:
    if not totals.model_calls:
        return "no call"
    latency = f"p50 {_seconds(totals.p50_s)}, p95 {_seconds(totals.p95_s)}"
    return (
        f"{totals.model_calls:,} calls in {totals.attempts:,} requests, {totals.prompt_tokens:,} + "
        f"{totals.completion_tokens:,} tokens, {latency}, {totals.repairs:,} repairs, {usd(totals.cost_usd)} USD"
    )


def _row(each: BlockTotals) -> tuple[str, ...]:
    return (
        each.block,
        f"{each.calls:,}",
        f"{each.failed:,}",
        f"{each.cached:,}",
        _seconds(each.p50_s),
        _seconds(each.p95_s),
        f"{each.model_calls:,}",
        f"{each.prompt_tokens + each.completion_tokens:,}",
        usd(each.cost_usd),
    )


def _show_calls(out: Console, title: str, run: FlowRun, calls: Sequence[BlockCall]) -> None:
    if not calls:
        return
    out.print(f"\n{title}:")
    for call in calls:
        item = "" if call.item is None else f" item {call.item}"
        ended = (
            f" {call.error or call.state.value}" if call.state is CallState.FAILED else f" {call.state.value}"
        )
        link = task_run_url(run, call)
        out.print(
            f"  {_seconds(call.duration_s):>8} {call.block}{item}{ended}{'' if link is None else f'  {link}'}",
            soft_wrap=True,
        )


def _seconds(seconds: float | None) -> str:
    """A latency: to the millisecond where it is short."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
