"""Records against providers: what a controller that died left half done is finished, what nobody knows is ended.

It decides about the rows of a deployment only while it holds the deployment's lease, so it never works against a
living controller, and it never touches a machine that does not carry this owner's tag. Deployments that are ready,
and that nobody wants, are not its concern: ``gc`` ends those.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import anyio

from conduit.compute import NodeView
from conduit.errors import ConduitError
from conduit.provisioning import looking
from conduit.provisioning.adopting import adopt
from conduit.provisioning.ending import decide, finish, note_gone
from conduit.provisioning.exclusive import exclusive_now
from conduit.provisioning.orphans import end_orphans, orphans_among
from conduit.provisioning.site import Site, off_loop
from conduit.store import NodeRecord, NodeState

_log = logging.getLogger(__name__)

_HALF_WAY = (NodeState.CREATING, NodeState.STARTING)


@dataclass
class Reconciled:
    """What a reconciliation did; ids of nodes.

    Attributes:
        ended: Their end was finished, or they were ended.
        adopted: They existed, and their rows did not know it.
        lost: They went away unasked.
        orphans: Machines that no row knew, and doubles; they were ended.
        errors: What could not be done; the next reconciliation tries again.
    """

    ended: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, other: Reconciled) -> None:
        """Counts another provider's in."""
        for name, values in vars(other).items():
            getattr(self, name).extend(values)

    @property
    def quiet(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.ended or self.adopted or self.lost or self.orphans or self.errors)


async def reconcile_site(
    site: Site, *, keep: Collection[str] = (), orphan_grace_s: float = 0.0, list_all: bool = True
) -> Reconciled:
    """Brings one provider's nodes and their rows into agreement, and returns when that is proven.

    Args:
        site: Whose records and provider.
        keep: Keys of deployments that this process wants; so it does those that a live process has declared.
        orphan_grace_s: How old a machine that no row knows must be before it is ended.
        list_all: Ask the provider for all machines; without it only rows that are half done are looked at.
    """
    done = Reconciled()
    views: list[NodeView] | None = None
    if list_all:
        try:
            # Before the rows are read: a machine's row is older than the machine.
            views = await site.provider.list_owned(site.owner.id)
        except Exception as error:  # whatever a provider raises, it has not told
            done.errors.append(f"{site.provider.kind} does not list its nodes: {looking.said(error)}.")
    rows = await rows_of(site)
    todo = await _decide_all(site, rows, views, frozenset(keep), done)
    orphans = [] if views is None else await orphans_among(site, views, grace_s=orphan_grace_s)
    async with anyio.create_task_group() as group:
        for record in todo.end:
            group.start_soon(_finish, site, record, done)
        for record in todo.look_for:
            group.start_soon(_look_for, site, record, done)
        for double in todo.doubles:
            group.start_soon(_end_double, site, double, done)
        group.start_soon(_end_orphans, site, orphans, done)
    if not done.quiet:
        _log.info("reconciled %s: %s", site.provider.kind, done)
    return done


async def rows_of(site: Site) -> list[NodeRecord]:
    """The live rows of the site's provider and owner."""
    # Records in the data folder are all this owner's, even when its key was lost; a shared database has others'.
    owner = None if site.settings.db_url is None else site.owner.id
    rows = await off_loop(site.store.nodes, owner=owner, live=True)
    return [record for record in rows if record.provider == str(site.provider.kind)]


@dataclass
class _Todo:
    """What was decided, and is done without a lease: it takes time, and nothing else can follow."""

    end: list[NodeRecord] = field(default_factory=list)
    look_for: list[NodeRecord] = field(default_factory=list)
    doubles: list[NodeView] = field(default_factory=list)


async def _decide_all(
    site: Site,
    rows: Iterable[NodeRecord],
    views: list[NodeView] | None,
    keep: frozenset[str],
    done: Reconciled,
) -> _Todo:
    by_key: dict[str, list[NodeRecord]] = {}
    for record in rows:
        if _is_odd(record, views):
            by_key.setdefault(record.deployment_key, []).append(record)
    todo = _Todo()
    for key, records in by_key.items():
        try:
            async with exclusive_now(site, key) as ours:
                if ours:  # otherwise somebody lives who is at work on it
                    await _decide(site, key, records, views, keep, todo, done)
        except ConduitError as error:
            done.errors.append(error.message)
    return todo


def _is_odd(record: NodeRecord, views: list[NodeView] | None) -> bool:
    """Whether a row may need something; decided again under the lease."""
    if record.state in (NodeState.INTENT, NodeState.TERMINATING, *_HALF_WAY) or _expired(record):
        return True
    return views is not None and len(_of(record, views)) != 1


async def _decide(
    site: Site,
    key: str,
    records: list[NodeRecord],
    views: list[NodeView] | None,
    keep: frozenset[str],
    todo: _Todo,
    done: Reconciled,
) -> None:
    deployment = await off_loop(site.store.deployment, key)
    kept = key in keep or (deployment is not None and deployment.kept)
    wanted = kept or bool(await off_loop(site.store.declarations, key))
    ours = deployment is not None and deployment.project == site.settings.project
    for before in records:
        record = await off_loop(site.store.node, before.id)
        if record is None or record.state.final:
            continue
        seen = _of(record, views or [])
        reason = None
        if record.state is NodeState.INTENT:
            reason = "Whoever meant to create it has died before."
        elif _expired(record):
            reason = "Its lifetime is over."
        elif record.state in _HALF_WAY and ours and not wanted:
            reason = "Whoever started it has died, and nobody waits for it."
        if reason is not None or record.state is NodeState.TERMINATING:
            decided = await decide(site, record, reason=reason)
            if decided is None:  # an intent that came to nothing
                done.ended.append(record.id)
            else:
                todo.end.append(decided)
        elif record.state is NodeState.CREATING:
            if seen and await adopt(site, record, seen[0]):
                done.adopted.append(record.id)
        elif len(seen) > 1:
            todo.doubles += _without(record, seen)
        elif views is not None and not seen:
            todo.look_for.append(record)


async def _look_for(site: Site, record: NodeRecord, done: Reconciled) -> None:
    """A node that was up and is not listed: gone, or hidden for a moment."""
    try:
        if await looking.still_there(site, record) is None:
            left = await site.provider.get(record.id, record.handle or None)
            await note_gone(site, record, left)
            done.lost.append(record.id)
    except Exception as error:  # whatever a provider raises, it has not told
        done.errors.append(f"Whether node {record.id} lives is not known: {looking.said(error)}.")


async def _finish(site: Site, record: NodeRecord, done: Reconciled) -> None:
    try:
        await finish(site, record, at_once=True)
        done.ended.append(record.id)
    except ConduitError as error:
        done.errors.append(error.message)


async def _end_double(site: Site, double: NodeView, done: Reconciled) -> None:
    try:
        await looking.prove_gone(site, double.node_id, handle=double.handle, alone=True, at_once=True)
        done.orphans.append(double.node_id)
    except Exception as error:  # whatever a provider raises, it lives on for the next look
        done.errors.append(f"A double of node {double.node_id} could not be ended: {looking.said(error)}.")


async def _end_orphans(site: Site, orphans: list[NodeView], done: Reconciled) -> None:
    for orphan, error in await end_orphans(site, orphans):
        if error is None:
            done.orphans.append(orphan.node_id)
        else:
            done.errors.append(error)


def _expired(record: NodeRecord) -> bool:
    return record.expires_at is not None and time.time() >= record.expires_at


def _of(record: NodeRecord, views: Iterable[NodeView]) -> list[NodeView]:
    found = [view for view in views if view.node_id == record.id and view.alive]
    return sorted(found, key=lambda view: (view.created_at or 0.0, str(view.handle)))


def _without(record: NodeRecord, seen: list[NodeView]) -> list[NodeView]:
    """The doubles: all but the machine that the row names, or the oldest where it names none of them."""
    own = next((view for view in seen if dict(view.handle) == dict(record.handle)), seen[0])
    return [view for view in seen if view is not own]
