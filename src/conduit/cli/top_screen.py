"""How ``conduit top`` looks: one line a model of a replica, and as many columns as the terminal has room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from conduit.cli.render import age
from conduit.cli.top_rows import DeploymentRow, ModelRow, ReplicaRow

NOTHING = (
    "No deployments here. A flow or `with lm:` starts one; `conduit top --all` shows those of all projects."
)
_GAP = 2
_MODEL_CHARS = 36
_COLORS = {
    "ready": "green",
    "busy": "yellow",
    "starting": "cyan",
    "draining": "yellow",
    "failed": "bold red",
    "lost": "bold red",
    "silent": "red",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its head.
        rank: Those of the highest ranks go first where the room is short.
        cell: What stands in the row of a model.
    """

    title: str
    rank: int
    cell: Callable[[ReplicaRow, ModelRow], str]


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _size(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def _first(replica: ReplicaRow, model: ModelRow, text: str) -> str:
    """What belongs to the replica stands in the row of its first model only."""
    return text if model is replica.models[0] else ""


COLUMNS = (
    Column("run", 2, lambda _, model: _count(model.running)),
    Column("wait", 3, lambda _, model: _count(model.waiting)),
    Column("req/s", 5, lambda _, model: _rate(model.requests_per_s)),
    Column("tok/s", 4, lambda _, model: _rate(model.tokens_per_s)),
    Column("ttft p50", 6, lambda _, model: _duration(model.first_token_p50_s)),
    Column("p95", 7, lambda _, model: _duration(model.first_token_p95_s)),
    Column("kv", 9, lambda _, model: _share(model.kv_used)),
    Column("err/min", 8, lambda _, model: _count(model.errors_last_minute)),
    Column("restarts", 12, lambda _, model: _count(model.restarts)),
    Column("memory", 10, lambda replica, model: _first(replica, model, _size(replica.rss_bytes))),
    Column("age", 11, lambda replica, model: _first(replica, model, age(time.time() - replica.age_s))),
)


class Screen:
    """One picture; it takes the width that it is given.

    Args:
        rows: What to show.
        title: What stands first.
        foot: What stands last.
    """

    def __init__(self, rows: Sequence[DeploymentRow], title: str, foot: str = "") -> None:
        self._rows, self._title, self._foot = rows, title, foot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        width = options.max_width
        yield _line(Text.assemble((self._title, "bold"), _summary(self._rows)))
        if not self._rows:
            yield Text(f"\n{NOTHING}")
        for row in self._rows:
            yield Text()
            yield _deployment(row, width)
        if self._foot:
            yield Text()
            yield _line(Text(self._foot, "dim"))


def _summary(rows: Sequence[DeploymentRow]) -> str:
    models = [model for row in rows for replica in row.replicas for model in replica.models]
    running, waiting = (sum(getattr(model, name) or 0 for model in models) for name in ("running", "waiting"))
    tokens = sum(model.tokens_per_s or 0.0 for model in models)
    return f"  {running} running, {waiting} waiting, {_rate(tokens)} tok/s" if models else ""


def _deployment(row: DeploymentRow, width: int) -> RenderableType:
    live = sum(replica.state not in ("lost", "silent") for replica in row.replicas)
    head = Text.assemble(
        (row.name or row.key, "bold"),
        "  ",
        (row.state, _COLORS.get(row.state, "")),
        f"  {live} of {row.wanted_replicas} replicas, {age(time.time() - row.age_s)} old",
        ("" if row.wanted_by else ", wanted by no running program", "yellow"),
    )
    parts: list[RenderableType] = [_line(head)]
    if row.reason:
        parts.append(_line(Text(f"  {row.reason}", "yellow")))
    if row.replicas:
        parts.append(_table(row, width))
    parts += [
        _line(Text(f"  {replica.replica} {model.model_id}: {model.reason}", "yellow"))
        for replica in row.replicas
        for model in replica.models
        if model.reason
    ]
    return Group(*parts)


def _table(row: DeploymentRow, width: int) -> Table:
    pairs = [(replica, model) for replica in row.replicas for model in replica.models]
    cells = {column.title: [column.cell(*pair) for pair in pairs] for column in COLUMNS}
    names = _names([model.model_id for _, model in pairs], max(12, min(_MODEL_CHARS, width // 3)))
    states = [_state(*pair) for pair in pairs]
    numbers = [_first(*pair, str(pair[0].replica)) for pair in pairs]
    room = width - sum(
        max(map(len, (title, *texts))) + _GAP
        for title, texts in (("replica", numbers), ("model", names), ("state", states))
    )
    shown = set()
    for column in sorted(COLUMNS, key=lambda each: each.rank):
        room -= max(map(len, (column.title, *cells[column.title]))) + _GAP
        if room < -_GAP:
            break
        shown.add(column.title)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for title in ("replica", "model", "state"):
        table.add_column(title, no_wrap=True)
    for column in COLUMNS:
        if column.title in shown:
            table.add_column(column.title, justify="right", no_wrap=True)
    for place in range(len(pairs)):
        values: list[Any] = [cells[column.title][place] for column in COLUMNS if column.title in shown]
        table.add_row(
            numbers[place], names[place], Text(states[place], _COLORS.get(states[place], "")), *values
        )
    return table


def _state(replica: ReplicaRow, model: ModelRow) -> str:
    return replica.state if replica.state in ("draining", "lost", "silent") else model.state


def _names(model_ids: Sequence[str], most: int) -> list[str]:
    """The ids, those that are too long without their beginning: what tells them apart stands at the end."""
    return [name if len(name) <= most else f"…{name[-(most - 1) :]}" for name in model_ids]


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
