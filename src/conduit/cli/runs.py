"""``conduit runs`` and its options; each command's work is in the module of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from conduit.cli.render import AsJson

runs_app = typer.Typer(
    help="Flow runs: what was called, what failed, what it cost.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

_Run = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]", help="Its id, the beginning of its id, or its name; default: the newest."
    ),
]
_Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Most of them to show.")]


@runs_app.callback()
def runs(context: typer.Context, *, limit: _Limit = 20, as_json: AsJson = False) -> None:
    """Show this project's newest flow runs."""
    if context.invoked_subcommand is None:
        from conduit.cli import runs_list as room

        room.run(limit=limit, as_json=as_json)


@runs_app.command()
def show(run: _Run = None, *, as_json: AsJson = False) -> None:
    """Show a flow run: its totals, each block's share, and the calls that failed or took longest."""
    from conduit.cli import runs_show as room

    room.run(run, as_json=as_json)


@runs_app.command()
def failed(
    *,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only that run's.")] = None,
    limit: _Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show calls and items of maps that failed, newest first."""
    from conduit.cli import runs_failed as room

    room.run(run, limit=limit, as_json=as_json)


@runs_app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.parquet")],
    *,
    table: Annotated[
        Literal["calls", "model_calls", "flow_runs"], typer.Option(help="Which rows.")
    ] = "calls",
    ledger: Annotated[str | None, typer.Option(metavar="NAME", help="A ledger's rows instead.")] = None,
    since: Annotated[str | None, typer.Option(help="Only the last 30m, 24h, 7d.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also when the file is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write rows to a Parquet file, for DuckDB and others."""
    from conduit.cli import runs_export as room

    room.run(file, table=table, ledger=ledger, since=since, overwrite=overwrite, as_json=as_json)


@runs_app.command()
def ledgers(*, as_json: AsJson = False) -> None:
    """Show this project's ledgers: how many items are done, how many failed."""
    from conduit.cli import runs_ledgers as room

    room.run(as_json=as_json)


@runs_app.command()
def forget(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids or names of runs.")
    ] = None,
    *,
    ledger: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A ledger; its items would be paid for again.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="All runs and calls older than 30m, 24h, 7d.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove runs with their calls, or ledgers, from the records; what deployments cost stays known."""
    from conduit.cli import runs_forget as room

    room.run(runs or (), ledgers=ledger or (), before=before, yes=yes, as_json=as_json)
