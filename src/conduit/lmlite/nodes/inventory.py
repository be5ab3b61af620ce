"""Deployments seen from outside any LMLite: listing them, removing what nobody wants, removing all of a project."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from conduit import provisioning
from conduit.compute import SERVER_PORT
from conduit.errors import ConduitError, ProviderError
from conduit.lmlite.nodes import wanted
from conduit.lmlite.portal import portal
from conduit.provisioning import Site, exclusive, off_loop
from conduit.settings import Settings
from conduit.store import DeploymentCost, DeploymentRecord, NodeRecord, NodeState, Store, open_store

_log = logging.getLogger(__name__)

_UNSEEN = (NodeState.INTENT, NodeState.CREATING)  # its provider may not show it yet


@dataclass(frozen=True)
class NodeSummary:
    """One node of a deployment.

    Attributes:
        state: As recorded; ``lost`` when it is gone unrecorded.
        machine: What it runs on, in words; None for this machine.
        usd: What it has cost so far, by its price.
        expires_at: When it ends by itself, in Unix seconds.
    """

    id: str
    replica: int
    state: str
    alive: bool
    url: str | None
    log: str | None
    created_at: float
    certificate: str | None = None
    machine: str | None = None
    usd_per_hour: float = 0.0
    usd: float = 0.0
    expires_at: float | None = None
    serverless: bool = False


@dataclass(frozen=True)
class DeploymentView:
    """One deployment as the records and the provider know it; times are Unix seconds.

    Attributes:
        wanted_by: Living processes that declare it, as ``host:pid``.
        kept: It stays although no process wants it, until `conduit down`.
        usd_per_hour: What its nodes cost by the hour now.
        usd: What it has cost so far, by the nodes' prices.
        budget_usd: The most that it may cost.
    """

    key: str
    name: str | None
    project: str
    provider: str
    state: str
    reason: str | None
    models: tuple[str, ...]
    replicas: int
    created_at: float
    nodes: tuple[NodeSummary, ...]
    wanted_by: tuple[str, ...]
    kept: bool = False
    usd_per_hour: float = 0.0
    usd: float = 0.0
    budget_usd: float | None = None


@dataclass(frozen=True)
class Removed:
    """Something that was removed, would be (``done`` is false without ``error``), or resisted (``error``).

    A ``provider`` is only ever told of with an error: it could not be asked.
    """

    kind: Literal["deployment", "node", "provider"]
    id: str
    project: str | None
    name: str | None
    models: tuple[str, ...]
    nodes: tuple[str, ...]
    reason: str
    done: bool = False
    error: str | None = None


def deployments(settings: Settings, *, all_projects: bool = False) -> list[DeploymentView]:
    """The deployments of the project, or of all projects, oldest first.

    Raises:
        StoreUnavailable: The data folder or database cannot be used.
    """
    return portal().call(_deployments, settings, all_projects)


def collect(settings: Settings, *, dry_run: bool = False) -> list[Removed]:
    """Removes the project's deployments that no live declaration wants, and nodes that no record knows.

    Raises:
        StoreUnavailable: The data folder or database cannot be used.
    """
    return portal().call(_collect, settings, dry_run, False)


def down(settings: Settings, *, dry_run: bool = False) -> list[Removed]:
    """Removes all deployments of the project, wanted or not, and nodes that no record knows.

    Raises:
        StoreUnavailable: The data folder or database cannot be used.
    """
    return portal().call(_collect, settings, dry_run, True)


def costs(
    settings: Settings,
    *,
    all_projects: bool = False,
    since: float | None = None,
    problems: list[str] | None = None,
) -> list[DeploymentCost]:
    """What the project's deployments cost, or all projects', deleted ones included; bills are asked for first.

    Args:
        settings: Whose.
        all_projects: Not only this project's.
        since: Unix seconds: only what they cost after that.
        problems: Gets a line for each bill that could not be had.

    Raises:
        StoreUnavailable: The data folder or database cannot be used.
    """
    project = None if all_projects else settings.project
    work = partial(provisioning.costs, settings, project=project, since=since, problems=problems)
    return portal().call(work)


async def _deployments(settings: Settings, all_projects: bool) -> list[DeploymentView]:
    records = await off_loop(open_store, settings)
    rows = await off_loop(records.deployments, project=None if all_projects else settings.project)
    nodes: dict[str, tuple[NodeSummary, ...]] = {}

    async def look(site: Site) -> None:
        for record in rows:
            if record.provider == str(site.provider.kind):
                living = await off_loop(site.store.nodes, deployment_key=record.key, live=True)
                nodes[record.key] = tuple([await _summary(site, node) for node in living])

    for kind, error in (await provisioning.at_each(settings, look)).items():
        _log.warning("what runs at %s is not known: %s", kind, error.message)
    return [await _view(records, record, nodes.get(record.key)) for record in rows]


async def _summary(site: Site, node: NodeRecord) -> NodeSummary:
    try:
        view = await site.provider.get(node.id, node.handle or None)
        alive = view is not None and view.alive
    except ProviderError as error:
        _log.info("how node %s is cannot be told: %s", node.id, error.message)
        return _as_recorded(node)
    if view is None:
        state = node.state.value if node.state in _UNSEEN else "lost"
        return replace(_as_recorded(node), state=state, alive=False)
    return replace(
        _as_recorded(node),
        state=node.state.value if alive else "lost",
        alive=alive,
        url=await site.provider.endpoint(view, SERVER_PORT),
        log=view.log,
        certificate=view.certificate,
        serverless=view.serverless,
    )


def _as_recorded(node: NodeRecord) -> NodeSummary:
    """A node whose provider does not tell: it may live, and cost something."""
    return NodeSummary(
        node.id,
        node.replica,
        node.state.value,
        alive=True,
        url=None,
        log=None,
        created_at=node.created_at,
        machine=_machine(node),
        usd_per_hour=node.usd_per_hour or 0.0,
        usd=node.estimated_usd(time.time()),
        expires_at=node.expires_at,
    )


async def _view(
    records: Store, record: DeploymentRecord, nodes: tuple[NodeSummary, ...] | None
) -> DeploymentView:
    if nodes is None:
        rows = await off_loop(records.nodes, deployment_key=record.key, live=True)
        nodes = tuple(_as_recorded(node) for node in rows)
    declared = await off_loop(records.declarations, record.key)
    spent = await off_loop(records.costs, deployment_key=record.key)
    return DeploymentView(
        key=record.key,
        name=record.name,
        project=record.project,
        provider=record.provider,
        state=record.state.value,
        reason=record.reason,
        models=_models(record),
        replicas=int(record.spec.get("replicas", 0)),
        created_at=record.created_at,
        nodes=nodes,
        wanted_by=tuple(f"{declaration.host}:{declaration.pid}" for declaration in declared),
        kept=record.kept,
        usd_per_hour=sum(node.usd_per_hour for node in nodes if node.alive),
        usd=sum(cost.estimated_usd for cost in spent),
        budget_usd=record.budget_usd,
    )


def _machine(node: NodeRecord) -> str | None:
    return None if node.offering is None else f"{node.offering['gpu_count']} x {node.offering['name']}"


async def _collect(settings: Settings, dry_run: bool, everything: bool) -> list[Removed]:
    removed: list[Removed] = []

    async def at(site: Site) -> None:
        ours = set() if everything else await off_loop(wanted.keys, settings, site.owner.id)
        if not everything and not dry_run:
            await _declare(site, ours)
        # Records in the data folder are all this owner's, even when its key was lost; a shared one has others'.
        owner = None if settings.db_url is None else site.owner.id
        for record in await off_loop(site.store.deployments, project=settings.project, owner=owner):
            if record.provider == str(site.provider.kind):
                entry = await _remove_deployment(site, record, ours, dry_run=dry_run, everything=everything)
                removed.extend([] if entry is None else [entry])
        removed.extend(await _remove_orphans(site, dry_run=dry_run))
        if not dry_run:
            done = await provisioning.reconcile_site(site, keep=ours)
            for problem in done.errors:
                _log.warning("%s", problem)

    errors = await provisioning.at_each(settings, at)
    return removed + [
        Removed("provider", kind, None, None, (), (), "it could not be asked", error=error.message)
        for kind, error in errors.items()
    ]


async def _declare(site: Site, ours: set[str]) -> None:
    """Makes this process's declarations what its live objects want."""
    for declaration in await off_loop(site.store.declarations):
        if site.store.is_ours(declaration) and declaration.deployment_key not in ours:
            await off_loop(site.store.withdraw, declaration.deployment_key)
    for key in ours:
        if await off_loop(site.store.deployment, key) is not None:
            await off_loop(site.store.declare, key)


async def _remove_deployment(
    site: Site, record: DeploymentRecord, ours: set[str], *, dry_run: bool, everything: bool
) -> Removed | None:
    reason = "all of the project was asked for" if everything else "no live process wants it"
    nodes = tuple(n.id for n in await off_loop(site.store.nodes, deployment_key=record.key, live=True))
    entry = Removed("deployment", record.key, record.project, record.name, _models(record), nodes, reason)
    if not everything and await _is_wanted(site, record.key, ours):
        return None
    if dry_run:
        return entry
    try:
        async with exclusive(site, record.key):
            # Once more under the lock: who brings it up declares it there before a node is started.
            if not everything and await _is_wanted(site, record.key, ours):
                return None
            await provisioning.remove(site, record.key)
    except ConduitError as error:
        _log.warning("deployment %s could not be removed: %s", record.key, error.message)
        return replace(entry, error=error.message)
    return replace(entry, done=True)


async def _is_wanted(site: Site, key: str, ours: set[str]) -> bool:
    if key in ours:
        return True
    record = await off_loop(site.store.deployment, key)
    if record is not None and record.kept:
        return True
    return any(not site.store.is_ours(d) for d in await off_loop(site.store.declarations, key))


async def _remove_orphans(site: Site, *, dry_run: bool) -> list[Removed]:
    views = await site.provider.list_owned(site.owner.id)
    orphans = await provisioning.orphans_among(site, views)
    ended = [(view, None) for view in orphans] if dry_run else await provisioning.end_orphans(site, orphans)
    return [
        Removed(
            "node",
            view.node_id,
            view.project,
            None,
            (),
            (view.node_id,),
            "no record knows it",
            done=not dry_run and error is None,
            error=error,
        )
        for view, error in ended
    ]


def _models(record: DeploymentRecord) -> tuple[str, ...]:
    return tuple(str(model["model_id"]) for model in record.spec.get("models", ()))
