"""``conduit down`` and ``conduit gc``: all of a project's deployments, or those that nobody wants any more."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.demo import demo_settings
from conduit.cli.prefect_server import OwnServer, RunningServer
from conduit.cli.render import command
from conduit.lmlite import Removed


def run(*, as_json: bool) -> None:
    """Stops and removes everything of this project and of the demo; code 1 if something resists."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        # The demo's own project first: a node that no record knows is then listed once.
        removed = [*lmlite.down(demo_settings()), *lmlite.down(settings)]
        server = OwnServer(settings).stop()

        def show(out: Console) -> None:
            if not removed and server is None:
                out.print(f"Nothing of {settings.project} is up.", soft_wrap=True)
            _show(out, removed, dry_run=False)
            _show_server(out, server)

        stopped = None if server is None else {"ui_url": server.ui_url, "pid": server.pid}
        screen.result({"removed": removed, "prefect_server": stopped}, show)
    _end(removed)


def collect(*, dry_run: bool, as_json: bool) -> None:
    """Removes the project's deployments that no live program wants; code 1 if something resists."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        removed = lmlite.collect(settings, dry_run=dry_run)

        def show(out: Console) -> None:
            if not removed:
                out.print(f"Nothing to remove in {settings.project}.", soft_wrap=True)
            _show(out, removed, dry_run=dry_run)
            if removed and dry_run:
                out.print("Nothing was removed; `conduit gc --yes` does it.")

        screen.result({"dry_run": dry_run, "removed": removed}, show)
    _end(removed)


def _show(out: Console, removed: Sequence[Removed], *, dry_run: bool) -> None:
    for entry in removed:
        what = f"{entry.kind} {entry.id}"
        if entry.models:
            what += f" ({', '.join(entry.models)}, {len(entry.nodes)} replicas)"
        did = "would remove" if dry_run else "removed"
        line = f"could not remove {what}: {entry.error}" if entry.error else f"{did} {what}: {entry.reason}"
        out.print(line, soft_wrap=True)


def _show_server(out: Console, server: RunningServer | None) -> None:
    if server is not None:
        out.print(f"stopped the Prefect server at {server.ui_url}", soft_wrap=True)


def _end(removed: Sequence[Removed]) -> None:
    if any(entry.error for entry in removed):
        raise typer.Exit(1)
