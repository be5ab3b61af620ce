"""What a provider shows of a node, and how far that can be believed.

Lists lag: a fresh node may be missing for a while, so that one look proves nothing. A provider says in its ``Caps``
for how long a node may still turn up, and how far apart two looks must lie.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from conduit.compute import NodeStatus, NodeView
from conduit.errors import (
    AmbiguousAnswer,
    ConduitError,
    MissingDependency,
    NodeFailed,
    ProviderBusy,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from conduit.provisioning.site import Site
from conduit.store import NodeRecord

T = TypeVar("T")

_log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""For how long a provider that answers nothing usable is asked again, beyond the time that an answer needs."""
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.25, 5.0
_HOPELESS = (ProviderUnauthorized, ProviderRejected, ProviderUnavailable, MissingDependency)


@dataclass(frozen=True)
class Gone:
    """The end of a node.

    Attributes:
        at: When it was first seen to be gone, Unix seconds.
        seen: What was seen of it before.
    """

    at: float
    seen: NodeView | None = None


class Pauses:
    """Growing pauses between questions, and an end to them."""

    def __init__(self, site: Site, *, after_s: float = 0.0) -> None:
        """Begins now.

        Args:
            site: Whose provider is asked.
            after_s: How long an answer may take to be there at all.
        """
        caps = site.provider.caps
        self._longest_s = min(_LAST_PAUSE_S, max(0.01, caps.settle_s / 4, caps.absent_gap_s))
        self._pause_s = min(_FIRST_PAUSE_S, self._longest_s)
        self._deadline = time.time() + after_s + PATIENCE_S

    @property
    def over(self) -> bool:
        """Whether it has been asked for long enough."""
        return time.time() >= self._deadline

    async def pause(self, error: Exception | None = None, *, at_most_s: float | None = None) -> None:
        """Waits before the next question, as long as the provider asked for where it did."""
        wait_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_s)
        if isinstance(error, ProviderBusy) and error.retry_after_s is not None:
            wait_s = max(wait_s, min(error.retry_after_s, PATIENCE_S))
        elif at_most_s is not None:
            wait_s = min(wait_s, max(0.0, at_most_s))
        await anyio.sleep(wait_s)


def hopeless(error: Exception) -> bool:
    """Whether asking the provider again cannot help."""
    return isinstance(error, _HOPELESS)


async def machines(site: Site, node_id: str, handle: Mapping[str, Any] | None = None) -> list[NodeView]:
    """All living machines of the node that are to be seen now, the oldest first.

    Raises:
        ConduitError: The provider did not tell.
    """
    listed = await site.provider.list_owned(site.owner.id)
    found = [view for view in listed if view.node_id == node_id and view.alive]
    if not found:  # lists and single looks lag apart
        view = await site.provider.get(node_id, handle or None)
        found = [view] if view is not None and view.alive else []
    return sorted(found, key=lambda view: (view.created_at or 0.0, str(view.handle)))


async def turned_up(site: Site, node_id: str, asked_at: float) -> NodeView | None:
    """What became of a creation whose answer told nothing: the node, or None once it cannot turn up any more.

    Of doubles the oldest is kept, the others are ended.

    Args:
        site: Where.
        node_id: The node's.
        asked_at: When the provider was last asked to create it, Unix seconds.

    Raises:
        AmbiguousAnswer: The provider could not be asked; the node may exist or not.
        ProviderError: The provider takes no questions from this account.
    """
    settled_at = asked_at + site.provider.caps.settle_s
    pauses, problem = Pauses(site, after_s=max(0.0, settled_at - time.time())), None
    while True:
        looked_at = time.time()
        try:
            found = await machines(site, node_id)
            if found:
                await end_doubles(site, found[1:])
                return found[0]
            if looked_at >= settled_at:
                return None
            problem = None
        except Exception as error:  # whatever a provider raises, it has not told
            if hopeless(error):
                raise
            problem = error
        if pauses.over:
            raise AmbiguousAnswer(
                f"Whether node {node_id} was created is not known: {site.provider.kind} does not tell "
                f"({said(problem)}).",
                hint="`conduit gc` looks again, and ends what nobody wants.",
                provider=str(site.provider.kind),
            ) from problem
        await pauses.pause(problem, at_most_s=settled_at - time.time() if problem is None else None)


async def end_doubles(site: Site, doubles: Sequence[NodeView]) -> None:
    """Has the surplus machines of one node end; that they are gone is proven when the node itself ends."""
    for view in doubles:
        _log.warning("node %s exists twice: %s is ended", view.node_id, dict(view.handle))
        try:
            await site.provider.destroy(view.node_id, view.handle, at_once=True)
        except Exception as error:
            _log.warning("a double of node %s could not be ended yet: %s", view.node_id, said(error))


async def still_there(site: Site, record: NodeRecord) -> NodeView | None:
    """The living machine of a node that was seen before; None once the provider has twice shown nothing of it.

    Raises:
        AmbiguousAnswer: The provider has not told for a long while.
        ProviderError: The provider takes no questions from this account.
    """
    caps = site.provider.caps
    view = await _answer(site, record, lambda: site.provider.get(record.id, record.handle or None))
    if view is not None or caps.absent_gap_s == 0:
        return view if view is not None and view.alive else None
    if time.time() < record.created_at + caps.settle_s:
        return placeholder(record)
    await anyio.sleep(caps.absent_gap_s)
    found = await _answer(site, record, lambda: machines(site, record.id, record.handle))
    return found[0] if found else None


async def _answer(site: Site, record: NodeRecord, ask: Callable[[], Awaitable[T]]) -> T:
    """Asks until the provider answers, for a while."""
    pauses = Pauses(site)
    while True:
        try:
            return await ask()
        except Exception as error:  # whatever a provider raises, it has not told
            if hopeless(error):
                raise
            if pauses.over:
                raise AmbiguousAnswer(
                    f"Whether node {record.id} lives is not known: {site.provider.kind} does not tell "
                    f"({said(error)}).",
                    hint="Try again when the provider answers; `conduit status` asks it.",
                    provider=str(site.provider.kind),
                ) from error
            await pauses.pause(error)


def placeholder(record: NodeRecord, said: str | None = None) -> NodeView:
    """The node as its row has it, while the provider does not show it."""
    return NodeView(
        record.id,
        owner=record.owner,
        provider=record.provider,
        status=NodeStatus.STARTING,
        deployment_key=record.deployment_key,
        created_at=record.created_at,
        handle=record.handle,
        usd_per_hour=record.usd_per_hour,
        said=said,
    )


async def prove_gone(
    site: Site,
    node_id: str,
    *,
    handle: Mapping[str, Any] | None = None,
    alone: bool = False,
    settled_at: float = 0.0,
    at_once: bool = False,
) -> Gone:
    """Has a node end until it is proven that nothing of it is left.

    Args:
        site: Where.
        node_id: The node's; all machines that carry it end.
        handle: Its machine's, where that is known.
        alone: Only that machine ends; it is a double.
        settled_at: Until when a machine may still turn up, Unix seconds; the node's own machine, once seen, is no
            longer waited for.
        at_once: Give it no time to finish what runs.

    Raises:
        NodeFailed: It may still live.
        ProviderError: The provider takes no orders from this account.
    """
    gap_s = site.provider.caps.absent_gap_s
    pauses = Pauses(site, after_s=max(0.0, settled_at - time.time()) + gap_s)
    absent_since: float | None = None
    problem: Exception | None = None
    seen: NodeView | None = None
    # One that lists do not show can still be ended by its handle.
    targets: list[Mapping[str, Any] | None] = [handle or None]
    while True:
        try:
            if absent_since is None:
                if handle and seen is None and time.time() < settled_at:
                    # A fresh one may not show yet, and what does not show cannot be told to end.
                    seen = await site.provider.get(node_id, handle)
                    settled_at = settled_at if seen is None else 0.0
                for target in targets:
                    await site.provider.destroy(node_id, target, at_once=at_once)
                if gap_s == 0 and time.time() >= settled_at:
                    return Gone(time.time())  # such a provider returns only when it is proven
            looked_at = time.time()
            found = await machines(site, node_id, handle)
            if alone:
                found = [view for view in found if dict(view.handle) == dict(handle or {})]
            if found:
                absent_since, problem, seen = None, None, found[0]
                targets = [view.handle for view in found]
            elif absent_since is None:
                absent_since = looked_at
            elif looked_at - absent_since >= gap_s and looked_at >= settled_at:
                return Gone(absent_since, seen)
        except Exception as error:  # whatever a provider raises, it has proven nothing
            if hopeless(error) or (isinstance(error, NodeFailed) and gap_s == 0):
                raise
            absent_since, problem = None, error
        if pauses.over:
            raise NodeFailed(
                f"Node {node_id} was told to end, and {site.provider.kind} has not shown that it is gone"
                f"{f' ({said(problem)})' if problem else ': it is still there'}.",
                hint="`conduit gc` tries again until it is proven.",
                node_id=node_id,
            ) from problem
        next_s = None if absent_since is None else max(absent_since + gap_s, settled_at) - time.time()
        await pauses.pause(problem, at_most_s=next_s)


def said(error: Exception | None) -> str:
    """An error in a few words."""
    if isinstance(error, ConduitError):
        return error.message.rstrip(".")
    return "no answer" if error is None else f"{type(error).__name__}: {error}".rstrip(": ")
