"""One replica's node, from the intent to a machine that exists: nothing is asked for before it is written down.

Each node id is asked for once. What an unclear answer means is found out before anything else is asked for, so that
no replica gets two machines. Callers hold the deployment's lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict

import anyio

from conduit import compute
from conduit.compute import NodeSpec, NodeView
from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    BudgetExceeded,
    ConduitError,
    IllegalTransition,
    MissingDependency,
    NoCapacity,
    NodeFailed,
    OfferingRefused,
    ProviderBusy,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
    StoreError,
)
from conduit.provisioning import budget, looking
from conduit.provisioning.candidate import Candidate, Terms
from conduit.provisioning.ending import close
from conduit.provisioning.site import Site, off_loop
from conduit.store import NodeState

_log = logging.getLogger(__name__)

_TRIES = 3
"""How often a candidate is asked for when it proved each time that nothing had come of it."""
_BUSY_WAIT_S = 120.0
_FIRST_BUSY_WAIT_S = 1.0
_ROUNDS = 5  # of shorter lives, while others reserve from the same budget

_NEXT = (NoCapacity, OfferingRefused)
_NOTHING_MADE = (
    *_NEXT,
    ProviderBusy,
    BalanceTooLow,
    MissingDependency,
    NodeFailed,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
    StoreError,
)
"""What says for certain that no machine came to be."""


class _CameToNothing(Exception):
    """The provider did not say what it did, and it proved to be nothing."""

    def __init__(self, problem: Exception) -> None:
        super().__init__()
        self.problem = problem


async def start(
    site: Site,
    key: str,
    replica: int,
    candidates: Sequence[Candidate],
    *,
    terms: Terms | None = None,
    started: list[str] | None = None,
) -> NodeView:
    """Has one node started on the first candidate that can be had; its server is not ready yet.

    Args:
        site: Where.
        key: The deployment's.
        replica: The replica's number.
        candidates: Best first.
        terms: What the node may take; None for no limits of its own.
        started: Gets the id of each node, before it exists.

    Raises:
        NoCapacity: None of the candidates is on sale now.
        OfferingRefused: The account may have none of them.
        BudgetExceeded: It could cost more than is left.
        AmbiguousAnswer: What became of a request cannot be told; its row stays, for ``reconcile``.
        ComputeError: The provider could not start it; nothing is left of it.
    """
    refusals: list[ConduitError] = []
    for candidate in candidates:
        for number in range(1, _TRIES + 1):
            try:
                return await _ask(site, key, replica, candidate, terms or Terms(), started)
            except _NEXT as error:
                _log.info("%s: %s", candidate.label, error.message)
                refusals.append(error)
                break
            except _CameToNothing as nothing:
                if number == _TRIES:
                    refusals.append(_silent(site, candidate, nothing.problem))
    raise _none_left(site, candidates, refusals)


async def _ask(
    site: Site, key: str, replica: int, candidate: Candidate, terms: Terms, started: list[str] | None
) -> NodeView:
    """One request, under a node id of its own."""
    node_id = compute.new_node_id()
    if started is not None:
        started.append(node_id)
    life = await _intend(site, node_id, key, replica, candidate, terms)
    await off_loop(site.store.transition, node_id, NodeState.CREATING)
    spec = NodeSpec(
        node_id,
        owner=site.owner.id,
        deployment_key=key,
        project=site.settings.project,
        config=candidate.config,
        offering=candidate.offering,
        image=candidate.image,
        expires_at=life.expires_at,
        serverless=candidate.serverless,
        max_workers=candidate.max_workers,
    )
    return await _record(site, await _create(site, spec), life)


async def _intend(
    site: Site, node_id: str, key: str, replica: int, candidate: Candidate, terms: Terms
) -> budget.Life:
    """Commits the intent with its reservation; takes a shorter life where the budget pays for no longer one."""
    offering = candidate.offering
    # Of an endpoint that scales to zero it is the most: what it really cost only its bill tells.
    usd_per_hour = 0.0 if offering is None else offering.usd_per_hour * candidate.max_workers
    life, rounds = budget.life(terms, usd_per_hour), 0
    while True:
        try:
            await off_loop(
                site.store.add_intent,
                node_id,
                deployment_key=key,
                provider=str(site.provider.kind),
                owner=site.owner.id,
                replica=replica,
                offering=None if offering is None else asdict(offering),
                usd_per_hour=usd_per_hour,
                expires_at=life.expires_at,
                reserve=life.reserve,
            )
        except BudgetExceeded as error:
            if (rounds := rounds + 1) > _ROUNDS:
                raise
            life = budget.shorter(terms, usd_per_hour, error)
        else:
            return life


async def _create(site: Site, spec: NodeSpec) -> NodeView:
    """Asks the provider, and finds out what one has done that did not say."""
    try:
        return await _when_free(site, spec)
    except _NOTHING_MADE as error:
        await close(site, spec.node_id, NodeState.FAILED, reason=error.message)
        raise
    except Exception as error:  # a time-out, a broken answer, a provider's own bug: it may exist
        asked_at = time.time()
        _log.warning("node %s may exist or not: %s", spec.node_id, looking.said(error))
        view = await looking.turned_up(site, spec.node_id, asked_at)
        if view is None:
            reason = f"Nothing came of it: {looking.said(error)}."
            await close(site, spec.node_id, NodeState.FAILED, reason=reason)
            raise _CameToNothing(error) from error
        return view


async def _when_free(site: Site, spec: NodeSpec) -> NodeView:
    """Asks as soon as the provider takes questions."""
    deadline, wait_s = time.time() + _BUSY_WAIT_S, _FIRST_BUSY_WAIT_S
    while True:
        try:
            return await site.provider.create(spec)
        except ProviderBusy as error:
            pause_s = wait_s if error.retry_after_s is None else max(error.retry_after_s, 0.01)
            if time.time() + pause_s > deadline:
                raise
            await anyio.sleep(pause_s)
            wait_s *= 2


async def _record(site: Site, view: NodeView, life: budget.Life) -> NodeView:
    """Writes down the machine that was made."""
    usd_per_hour, expires_at = view.usd_per_hour, life.expires_at
    if life.reserve is not None and usd_per_hour:
        # It may turn out dearer than it was offered: then what was reserved pays for a shorter life.
        paid_s = life.reserve.usd / usd_per_hour * 3600 - budget.ENDING_S
        expires_at = min(expires_at or paid_s + time.time(), time.time() + paid_s)
    try:
        await off_loop(
            site.store.transition,
            view.node_id,
            NodeState.STARTING,
            handle=view.handle,
            usd_per_hour=usd_per_hour,
            expires_at=expires_at,
        )
    except IllegalTransition:
        # Somebody has given this node up meanwhile, and found nothing to end.
        with anyio.CancelScope(shield=True):
            await looking.end_doubles(site, [view])
        raise
    return view


def _silent(site: Site, candidate: Candidate, problem: Exception) -> AmbiguousAnswer:
    error = AmbiguousAnswer(
        f"{site.provider.kind} was asked {_TRIES} times for {candidate.label}, and nothing came of it; at last it "
        f"answered: {looking.said(problem)}.",
        hint="Look at the provider's status page, and try again.",
        provider=str(site.provider.kind),
    )
    error.__cause__ = problem
    return error


def _none_left(site: Site, candidates: Sequence[Candidate], refusals: list[ConduitError]) -> ConduitError:
    if len(refusals) == 1:
        return refusals[0]
    if not refusals:
        return NoCapacity(
            "There is no candidate to run a replica on.",
            hint="`conduit plan` tells what fits.",
            provider=str(site.provider.kind),
        )
    kind = next((type(e) for e in refusals if isinstance(e, NoCapacity)), type(refusals[-1]))
    said = "; ".join(
        f"{candidate.label}: {looking.said(error)}"
        for candidate, error in zip(candidates, refusals, strict=True)
    )
    error = kind(
        f"None of the {len(candidates)} candidates could be had. {said}.",
        hint="Try again later, allow more kinds of GPU or regions, or let replicas be fewer.",
        provider=str(site.provider.kind),
    )
    error.__cause__ = refusals[-1]
    return error
