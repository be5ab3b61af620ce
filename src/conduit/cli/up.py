"""``conduit up``: shows what a file's LMLites would run on and cost, asks, and has them running when it ends.

They stay up when it has ended, until a limit or `conduit down` ends them. An interrupt gives back what was started.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from conduit.cli.interrupts import Interrupts
from conduit.cli.lmlites import lmlites
from conduit.cli.plan import plan_document, show_plan
from conduit.cli.render import Screen, command, duration
from conduit.errors import ArgumentInvalid
from conduit.lmlite import Health, LMLiteResource, Quote, ReplicaHealth

_LOOK_S = 0.5
_STAGES = ("asked for", "starting", "download", "load", "ready")


def run(target: str, *, yes: bool, as_json: bool) -> None:
    """Brings up all LMLites of the file, or the one that is named."""
    with command(as_json=as_json) as screen, Interrupts() as interrupts:
        found = lmlites(target)
        with screen.step("Asking what is on sale") as step:
            quotes = {name: lm.quote() for name, lm in found.items()}
            step.done = "Prices of now"
        if not as_json:
            for name, quote in quotes.items():
                _show_quote(screen.out, name, found[name], quote)
        if not yes:
            _ask(screen, quotes)
        try:
            for lm in found.values():
                lm.up(wait=False)
            _wait(screen, found)
            for lm in found.values():
                lm.keep()
        except BaseException:
            interrupts.ignore()
            with screen.step("Giving back what was started") as step:
                step.done = "Gave back what was started"
                for lm in found.values():
                    lm.__exit__(None, None, None)
            raise
        document = {name: _document(lm, quotes[name]) for name, lm in found.items()}
        screen.result({"up": document}, lambda out: _show(out, target, found, quotes))


def _ask(screen: Screen, quotes: Mapping[str, Quote]) -> None:
    if screen.as_json or not sys.stdin.isatty():
        raise ArgumentInvalid(
            "Nothing was started: `conduit up` asks before it does, and here is nobody to answer.",
            hint="Give --yes once `conduit plan` shows what you want.",
            argument="yes",
        )
    usd = sum(quote.usd_per_hour for quote in quotes.values())
    if not typer.confirm(f"Start {'it' if len(quotes) == 1 else 'them'} for {usd:.2f} USD/h?", err=True):
        raise typer.Exit(1)


def _wait(screen: Screen, found: Mapping[str, LMLiteResource]) -> None:
    """Shows how each replica comes up, until all are ready."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen.progress, transient=True) as progress:
        bars: dict[tuple[str, int], TaskID] = {}
        while True:
            ready = [lm.ready for lm in found.values()]
            for name, lm in found.items():
                _bar(progress, bars, name, lm.health())
            if all(ready):
                return
            time.sleep(_LOOK_S)


def _bar(progress: Progress, bars: dict[tuple[str, int], TaskID], name: str, health: Health) -> None:
    for replica in health.replicas:
        key = (name, replica.replica)
        if key not in bars:
            bars[key] = progress.add_task(f"{name} {replica.replica}", total=len(_STAGES) - 1, stage="")
        done, stage = _stage(replica)
        progress.update(bars[key], completed=done, stage=stage)


def _stage(replica: ReplicaHealth) -> tuple[float, str]:
    """How far a replica is, in stages, and in words."""
    if replica.ready:
        return len(_STAGES) - 1, "ready"
    if replica.loading:
        model, loading = next(iter(replica.loading.items()))
        share = (loading.done_bytes or 0) / loading.total_bytes if loading.total_bytes else 0.0
        stage = "download" if loading.stage == "download" else "load"
        bytes_of = (
            f" {loading.done_bytes or 0:,} of {loading.total_bytes:,} bytes" if loading.total_bytes else ""
        )
        return _STAGES.index(stage) + min(share, 1.0), f"{loading.stage} {model}{bytes_of}"
    if replica.url is not None:
        return _STAGES.index("load"), "load"
    asked = replica.state in ("intent", "creating")
    return (0.0, "asked for") if asked else (1.0, replica.state)


def _show_quote(out: Console, name: str, lm: LMLiteResource, quote: Quote) -> None:
    if quote.plan is None:
        out.print(
            f"{name}: {quote.replicas} x {', '.join(lm.model_ids)} on {lm.config.provider}, 0.00 USD/h",
            soft_wrap=True,
        )
    else:
        show_plan(out, {"name": name, "prices": f"{lm.config.provider}'s prices of now"}, quote.plan)
    if quote.most_usd:
        budget = "" if quote.budget_usd is None else f", of a budget of {quote.budget_usd:.2f} USD"
        life = duration(quote.longest_s or 0.0)
        most = f"  at most {quote.most_usd:.2f} USD, if nothing is given back for {life}{budget}"
        out.print(most, soft_wrap=True)


def _document(lm: LMLiteResource, quote: Quote) -> dict[str, Any]:
    health = lm.health()
    return {
        "deployment": health.key,
        "models": list(lm.model_ids),
        "provider": str(lm.config.provider),
        "usd_per_hour": quote.usd_per_hour,
        "most_usd": quote.most_usd,
        "plan": None if quote.plan is None else plan_document(quote.plan),
        "replicas": [asdict(replica) for replica in health.replicas],
    }


def _show(
    out: Console, target: str, found: Mapping[str, LMLiteResource], quotes: Mapping[str, Quote]
) -> None:
    usd = sum(quote.usd_per_hour for quote in quotes.values())
    urls: Sequence[str] = [r.url for lm in found.values() for r in lm.health().replicas if r.url]
    for url in urls:
        out.print(f"ready  {url}", soft_wrap=True)
    out.print(
        f"{usd:.2f} USD/h until `conduit down`, or their limits. `conduit status` shows them.", soft_wrap=True
    )
    out.print(f"Programs with the same LMLite use them; so does `conduit serve {target}`.", soft_wrap=True)
