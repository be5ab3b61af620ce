"""``conduit status``: the deployments, their replicas, what they cost, and the demo's Prefect server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.demo import demo_settings
from conduit.cli.interrupts import Interrupts
from conduit.cli.prefect_server import OwnServer, RunningServer
from conduit.cli.render import Screen, age, command, duration, table, write_json
from conduit.lmlite import DeploymentView, NodeSummary, Said, Watch
from conduit.settings import Settings

_LOOK_S = 2.0


def run(*, everywhere: bool, watch: bool, as_json: bool) -> None:
    """Prints the state of things, once or again and again; starts and changes nothing."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        if watch:
            _watch(screen, settings, everywhere=everywhere)
            return
        document, picture = _look(settings, everywhere=everywhere)
        screen.result(document, lambda out: _print(out, picture))


def _watch(screen: Screen, settings: Settings, *, everywhere: bool) -> None:
    """A line of JSON for each look, or one picture that changes."""
    with Interrupts():
        try:
            if screen.as_json:
                while True:
                    write_json(_look(settings, everywhere=everywhere)[0], indent=None)
                    time.sleep(_LOOK_S)
            with Live(console=screen.out, auto_refresh=False) as live:
                while True:
                    live.update(Group(*_look(settings, everywhere=everywhere)[1]), refresh=True)
                    time.sleep(_LOOK_S)
        except SystemExit:
            return  # being interrupted is how it ends


def _look(settings: Settings, *, everywhere: bool) -> tuple[dict[str, Any], list[RenderableType]]:
    found = lmlite.deployments(settings, all_projects=everywhere)
    if not everywhere:
        found += lmlite.deployments(demo_settings())
    with Watch(settings) as replicas:
        health = {node_id: _health(said) for node_id, said in replicas.ask(found).items()}
    server = OwnServer(settings).running()
    document = {
        "project": settings.project,
        "data_dir": settings.data_dir,
        "deployments": found,
        "health": health,
        "usd_per_hour": sum(deployment.usd_per_hour for deployment in found),
        "prefect_server": None if server is None else server.view(),
    }
    return document, list(_picture(found, health, server))


def _print(out: Console, picture: Sequence[RenderableType]) -> None:
    for part in picture:
        out.print(part, soft_wrap=isinstance(part, Text))


def _health(said: Said) -> str:
    """How a replica is, by what it says of its models itself."""
    models = said.ready.get("models") or []
    if not models:
        return "no answer"
    return ", ".join(dict.fromkeys(_model(model) for model in models))


def _model(model: Mapping[str, Any]) -> str:
    loading = model.get("loading")
    if not loading:
        return str(model["state"])
    done, total = loading.get("done_bytes"), loading.get("total_bytes")
    return f"{loading['stage']} {100 * done / total:.0f} %" if done and total else str(loading["stage"])


def _picture(
    found: Sequence[DeploymentView], health: Mapping[str, str], server: RunningServer | None
) -> Iterator[RenderableType]:
    if not found:
        yield Text("No deployments. A flow, `with lm:` or `conduit up` starts one.")
    for deployment in found:
        yield from _deployment(deployment, health)
    if server is not None:
        yield Text(f"Prefect server: {server.ui_url} (process {server.pid}); `conduit down` stops it")


def _deployment(deployment: DeploymentView, health: Mapping[str, str]) -> Iterator[RenderableType]:
    name = f" {deployment.name}" if deployment.name else ""
    alive = sum(node.alive for node in deployment.nodes)
    yield Text(
        f"{deployment.key}{name}: {', '.join(deployment.models)} on {deployment.provider}, {deployment.state},"
        f" {alive} of {deployment.replicas} replicas, {age(deployment.created_at)} old"
    )
    if deployment.usd or deployment.usd_per_hour:
        budget = "" if deployment.budget_usd is None else f" of a budget of {deployment.budget_usd:.2f} USD"
        yield Text(f"  {deployment.usd:.4f} USD so far{budget}, {deployment.usd_per_hour:.2f} USD/h now")
    yield Text(f"  project {deployment.project}")
    wanted_by = [*deployment.wanted_by, *(["`conduit up`"] if deployment.kept else [])]
    yield Text(f"  wanted by {', '.join(wanted_by) or 'no running program'}")
    if deployment.reason:
        yield Text(f"  {deployment.reason}")
    if not deployment.nodes:
        return
    rows = table(
        "  replica", "node", "state", "health", "age", "USD", "USD/h", "ends in", right=("USD", "USD/h")
    )
    for node in deployment.nodes:
        rows.add_row(f"  {node.replica}", *_cells(node, health.get(node.id)))
    yield rows
    for node in deployment.nodes:
        machine = "" if node.machine is None else f"{node.machine}, "
        yield Text(f"  {node.replica}: {machine}{node.url or 'no address yet'}, log {node.log or '-'}")


def _cells(node: NodeSummary, health: str | None) -> tuple[str, ...]:
    return (
        node.id,
        node.state,
        health or "-",
        age(node.created_at),
        f"{node.usd:.4f}",
        f"{node.usd_per_hour:.2f}",
        "-" if node.expires_at is None else duration(max(0.0, node.expires_at - time.time())),
    )
