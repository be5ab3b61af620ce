"""``conduit runs failed``: calls and items of maps that failed, from the run log and from ledgers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.text import Text

from conduit import settings as settings_module
from conduit.cli.render import age, command, table
from conduit.cli.runs_find import flow_run
from conduit.cli.runs_list import SHOWN_ID
from conduit.store import BlockCall, CallState, FlowRun, LedgerRow, Store, open_store, values_kept

_HOW_TO_KEEP = "Messages quote values: they are kept in a map's ledger, or with CONDUIT_RUN_LOG_VALUES=true."


@dataclass(frozen=True)
class Failure:
    """One call, or one item of a map, that failed.

    Attributes:
        run: Id of its flow run.
        at: When it began, Unix seconds; in a ledger alone, when it ended.
        message: Where it was kept.
        ledger: Where it stands, if in one.
    """

    at: float
    run: str | None
    block: str
    item: int | None
    map_id: str | None
    code: str | None
    attempts: int
    message: str | None
    ledger: str | None = None


def run(text: str | None, *, limit: int, as_json: bool) -> None:
    """Prints them; exits with 0 whether there are some or none."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        store = open_store(settings)
        wanted = None if text is None else flow_run(store, text)
        found = failures(store, limit=limit, flow_run_id=None if wanted is None else wanted.id)
        document: dict[str, Any] = {
            "project": settings.project,
            "run": None if wanted is None else wanted.id,
            "failed": [asdict(each) for each in found],
            "messages_kept": values_kept(settings),
        }
        names = {run.id: run for run in store.flow_runs(limit=1000)}
        screen.result(document, lambda out: _show(out, found, names, limit))


def failures(store: Store, *, limit: int, flow_run_id: str | None) -> list[Failure]:
    """Newest first. An item that stands in the run log and in a ledger is one."""
    calls = store.block_calls(limit=limit, flow_run_id=flow_run_id, state=CallState.FAILED)
    kept: defaultdict[object, list[LedgerRow]] = defaultdict(list)
    for row in store.ledger_failures(limit=limit, flow_run_id=flow_run_id):
        kept[_key(row)].append(row)
    found = [_of_call(call, kept[_key(call)].pop() if kept[_key(call)] else None) for call in calls]
    found += [_of_row(row) for rows in kept.values() for row in rows]
    return sorted(found, key=lambda each: -each.at)[:limit]


def _key(failed: BlockCall | LedgerRow) -> tuple[str | None, str, int | None]:
    return failed.flow_run_id, failed.block, failed.item


def _of_call(call: BlockCall, row: LedgerRow | None) -> Failure:
    found = Failure(
        call.started_at,
        call.flow_run_id,
        call.block,
        call.item,
        call.map_id,
        call.error,
        call.attempts,
        call.error_text,
    )
    if row is None:
        return found
    return replace(found, message=call.error_text or row.error_text, ledger=row.ledger)


def _of_row(row: LedgerRow) -> Failure:
    return Failure(
        row.finished_at,
        row.flow_run_id,
        row.block,
        row.item,
        None,
        row.error,
        row.attempts,
        row.error_text,
        row.ledger,
    )


def _show(out: Console, found: Sequence[Failure], names: dict[str, FlowRun], limit: int) -> None:
    if not found:
        out.print("Nothing failed, as far as the records know.")
        return
    rows = table("run", "block", "item", "error", "attempts", "when", right=("item", "attempts"))
    for each in found:
        known = names.get(each.run or "")
        rows.add_row(
            "-" if each.run is None else f"{known.name if known else ''} {each.run[:SHOWN_ID]}".strip(),
            each.block,
            "-" if each.item is None else str(each.item),
            Text("\n").join(Text(line) for line in (each.code or "-", each.message) if line),
            str(each.attempts),
            f"{age(each.at)} ago",
        )
    out.print(rows)
    if len(found) == limit:
        out.print(f"The newest {limit} only; --limit shows more.")
    if any(each.message is None for each in found):
        out.print(_HOW_TO_KEEP, soft_wrap=True)
