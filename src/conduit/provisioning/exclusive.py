"""One process at a time brings a deployment up or down: a lease in the records, kept up by a heartbeat.

The lease holds among processes of several hosts on one database. That of a process that died is free at once on the
same host, and elsewhere when it runs out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from conduit.errors import ConduitError, DeploymentFailed
from conduit.provisioning.site import Site, off_loop
from conduit.store import Lease, Store

_log = logging.getLogger(__name__)

_POLL_S = 0.02
_LONGEST_POLL_S = 0.5
_TTL_S = 20.0
_WAIT_S = 60.0
"""More than a holder of this machine needs: it starts and ends processes, and waits for no model to load."""
_RENTED_WAIT_S = 600.0
"""The same where a holder asks a provider elsewhere, and may have to find out what became of its requests."""


@asynccontextmanager
async def exclusive(site: Site, key: str) -> AsyncIterator[None]:
    """Holds the deployment's lease; what runs inside is cancelled if the lease is lost.

    Raises:
        DeploymentFailed: Another process has held it for too long, or it was lost.
        StoreUnavailable: The database cannot be used.
    """
    wait_s = _WAIT_S if site.provider.caps.this_machine else _RENTED_WAIT_S
    deadline, pause_s = anyio.current_time() + wait_s, _POLL_S
    while (lease := await _acquire(site.store, f"deployment:{key}")) is None:
        if anyio.current_time() > deadline:
            raise DeploymentFailed(
                f"Another process has been at work on deployment {key} for more than {wait_s:g} s.",
                hint="See which deployments are at work with `conduit status`, and try again.",
            )
        await anyio.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _LONGEST_POLL_S)
    async with _held(site.store, lease):
        yield


@asynccontextmanager
async def exclusive_now(site: Site, key: str) -> AsyncIterator[bool]:
    """As ``exclusive``, and never waits: yields whether the lease could be had.

    Raises:
        StoreUnavailable: The database cannot be used.
    """
    lease = await _acquire(site.store, f"deployment:{key}")
    if lease is None:
        yield False
        return
    async with _held(site.store, lease):
        yield True


@asynccontextmanager
async def _held(store: Store, lease: Lease) -> AsyncIterator[None]:
    with anyio.CancelScope() as scope:
        beating = asyncio.create_task(_beat(store, lease, scope))
        try:
            yield
        finally:
            beating.cancel()
            await _release(store, lease)
    if scope.cancelled_caught:
        raise DeploymentFailed(
            f"The lease {lease.name} was lost: the records could not be reached for {_TTL_S:g} s.",
            hint="Look at the database, and try again; `conduit gc` ends what nobody wants.",
        )


async def _acquire(store: Store, name: str) -> Lease | None:
    attempt = asyncio.ensure_future(off_loop(store.acquire_lease, name, ttl_s=_TTL_S))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        # The thread goes on, and what it gets nobody would hold, nor let go.
        attempt.add_done_callback(partial(_let_go, store))
        raise


def _let_go(store: Store, attempt: asyncio.Future[Lease | None]) -> None:
    if not attempt.cancelled() and attempt.exception() is None and (lease := attempt.result()) is not None:
        try:
            store.release_lease(lease)
        except ConduitError as error:
            _log.warning("lease %s could not be given back: %s", lease.name, error.message)


async def _release(store: Store, lease: Lease) -> None:
    with anyio.CancelScope(shield=True):
        try:
            await off_loop(store.release_lease, lease)
        except ConduitError as error:  # it runs out by itself
            _log.warning("lease %s could not be given back: %s", lease.name, error.message)


async def _beat(store: Store, lease: Lease, scope: anyio.CancelScope) -> None:
    """Renews the lease, and ends the work under it when that fails for as long as it lasts."""
    renewed_at = anyio.current_time()
    while anyio.current_time() - renewed_at < _TTL_S:
        await asyncio.sleep(_TTL_S / 4)
        try:
            began = anyio.current_time()
            if not await off_loop(store.renew_lease, lease, ttl_s=_TTL_S):
                break  # somebody else has it
            renewed_at = began
        except ConduitError as error:
            _log.warning("lease %s could not be renewed: %s", lease.name, error.message)
    scope.cancel()
