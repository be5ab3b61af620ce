"""``conduit status``: the deployments, their replicas, and the Prefect server that the demo left up."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.demo import demo_settings
from conduit.cli.prefect_server import OwnServer, RunningServer
from conduit.cli.render import age, command, table
from conduit.lmlite import DeploymentView


def run(*, everywhere: bool, as_json: bool) -> None:
    """Prints the state of things; starts and changes nothing."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        found = lmlite.deployments(settings, all_projects=everywhere)
        if not everywhere:
            found += lmlite.deployments(demo_settings())
        server = OwnServer(settings).running()
        document = {
            "project": settings.project,
            "data_dir": settings.data_dir,
            "deployments": found,
            "prefect_server": None if server is None else server.view(),
        }
        screen.result(document, lambda out: _show(out, found, server))


def _show(out: Console, found: Sequence[DeploymentView], server: RunningServer | None) -> None:
    if not found:
        out.print("No deployments. A flow or `with lm:` starts one.")
    for deployment in found:
        name = f" {deployment.name}" if deployment.name else ""
        alive = sum(node.alive for node in deployment.nodes)
        out.print(
            f"{deployment.key}{name}: {', '.join(deployment.models)} on {deployment.provider}, {deployment.state},"
            f" {alive} of {deployment.replicas} replicas, {age(deployment.created_at)} old",
            soft_wrap=True,
        )
        out.print(f"  project {deployment.project}", soft_wrap=True)
        out.print(f"  wanted by {', '.join(deployment.wanted_by) or 'no running program'}", soft_wrap=True)
        if deployment.reason:
            out.print(f"  {deployment.reason}", soft_wrap=True)
        rows = table("  replica", "node", "state", "url", "log")
        for node in deployment.nodes:
            rows.add_row(f"  {node.replica}", node.id, node.state, node.url or "-", node.log or "-")
        if deployment.nodes:
            out.print(rows)
    if server is not None:
        out.print(
            f"Prefect server: {server.ui_url} (process {server.pid}); `conduit down` stops it", soft_wrap=True
        )
