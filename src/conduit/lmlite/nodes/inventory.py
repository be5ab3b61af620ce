"""Deployments seen from outside any LMLite: listing them, removing what nobody wants, removing all of a project."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

from conduit.compute import SERVER_PORT, ComputeProvider
from conduit.errors import ConduitError
from conduit.lmlite.nodes import node_steps, wanted
from conduit.lmlite.nodes.exclusive import exclusive
from conduit.lmlite.nodes.site import Site, off_loop, open_site
from conduit.lmlite.portal import portal
from conduit.settings import Settings
from conduit.store import DeploymentRecord

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeSummary:
    """One node of a deployment; ``state`` is ``lost`` when its process is gone unrecorded."""

    id: str
    replica: int
    state: str
    alive: bool
    url: str | None
    log: str | None
    created_at: float


@dataclass(frozen=True)
class DeploymentView:
    """One deployment as the records and the provider know it; times are Unix seconds.

    Attributes:
        wanted_by: Living processes that declare it, as ``host:pid``.
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


@dataclass(frozen=True)
class Removed:
    """Something that was removed, would be (``done`` is false without ``error``), or resisted (``error``)."""

    kind: Literal["deployment", "node"]
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


async def _deployments(settings: Settings, all_projects: bool) -> list[DeploymentView]:
    site = await open_site(settings, ComputeProvider.LOCAL)
    records = await off_loop(site.store.deployments, project=None if all_projects else settings.project)
    return [await _view(site, record) for record in records]


async def _view(site: Site, record: DeploymentRecord) -> DeploymentView:
    nodes = []
    for node in await off_loop(site.store.nodes, deployment_key=record.key, live=True):
        view = await site.provider.get(node.id)
        alive = view is not None and view.alive
        nodes.append(
            NodeSummary(
                id=node.id,
                replica=node.replica,
                state=node.state.value if alive else "lost",
                alive=alive,
                url=await site.provider.endpoint(view, SERVER_PORT) if view is not None else None,
                log=view.log if view is not None else None,
                created_at=node.created_at,
            )
        )
    declared = await off_loop(site.store.declarations, record.key)
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
        nodes=tuple(nodes),
        wanted_by=tuple(f"{declaration.host}:{declaration.pid}" for declaration in declared),
    )


async def _collect(settings: Settings, dry_run: bool, everything: bool) -> list[Removed]:
    site = await open_site(settings, ComputeProvider.LOCAL)
    ours = set() if everything else await off_loop(wanted.keys, settings, site.owner.id)
    if not everything and not dry_run:
        await _declare(site, ours)
    # Records in the data folder are all this owner's, even when its key was lost; a shared database has others'.
    owner = None if settings.db_url is None else site.owner.id
    removed = []
    for record in await off_loop(site.store.deployments, project=settings.project, owner=owner):
        entry = await _remove_deployment(site, record, ours, dry_run=dry_run, everything=everything)
        if entry is not None:
            removed.append(entry)
    return removed + await _remove_orphans(site, dry_run=dry_run)


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
        async with exclusive(site.settings.data_dir, record.key):
            # Once more under the lock: who brings it up declares it there before a node is started.
            if not everything and await _is_wanted(site, record.key, ours):
                return None
            await node_steps.remove(
                await open_site(site.settings, ComputeProvider(record.provider)), record.key
            )
    except ConduitError as error:
        _log.warning("deployment %s could not be removed: %s", record.key, error.message)
        return replace(entry, error=error.message)
    return replace(entry, done=True)


async def _is_wanted(site: Site, key: str, ours: set[str]) -> bool:
    if key in ours:
        return True
    return any(not site.store.is_ours(d) for d in await off_loop(site.store.declarations, key))


async def _remove_orphans(site: Site, *, dry_run: bool) -> list[Removed]:
    removed = []
    for view in await site.provider.list_owned(site.owner.id):
        if view.project not in (None, site.settings.project):
            continue
        if await off_loop(site.store.node, view.node_id) is not None:
            continue
        entry = Removed("node", view.node_id, view.project, None, (), (view.node_id,), "no record knows it")
        if not dry_run:
            try:
                await site.provider.destroy(view.node_id)
                await site.provider.forget(view.node_id)
                entry = replace(entry, done=True)
            except ConduitError as error:
                entry = replace(entry, error=error.message)
        removed.append(entry)
    return removed


def _models(record: DeploymentRecord) -> tuple[str, ...]:
    return tuple(str(model["model_id"]) for model in record.spec.get("models", ()))
