"""Where deployments live: the records, the provider and the owner that belong to one set of settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

from conduit import compute, store
from conduit.compute import ComputeProvider, Owner, Provider
from conduit.settings import Settings
from conduit.store import Store

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    """The things that every deployment of one data folder and provider shares."""

    settings: Settings
    store: Store
    provider: Provider
    owner: Owner


async def open_site(settings: Settings, kind: ComputeProvider | str) -> Site:
    """Opens the records and the provider; who opens it closes the provider.

    Raises:
        ProviderUnavailable: Conduit cannot use that provider.
        StoreUnavailable: The data folder or the database cannot be used.
    """
    provider = await off_loop(compute.provider, kind, settings)
    owner = await off_loop(compute.load_owner, settings)
    return Site(settings, await off_loop(store.open_store, settings), provider, owner)


@asynccontextmanager
async def site_for(settings: Settings, kind: ComputeProvider | str) -> AsyncIterator[Site]:
    """A site for a short piece of work; its provider's connections are closed at the end.

    Raises:
        ProviderUnavailable: Conduit cannot use that provider.
        StoreUnavailable: The data folder or the database cannot be used.
    """
    site = await open_site(settings, kind)
    try:
        yield site
    finally:
        await site.provider.aclose()


async def off_loop(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs something that touches disks in a thread, so that the loop goes on."""
    work = partial(function, *args, **kwargs)
    try:
        return await anyio.to_thread.run_sync(work)
    except RuntimeError as error:
        # At exit Python 3.12 starts no thread, and the loop has nothing else to go on with.
        if "interpreter shutdown" not in str(error):
            raise
        return work()
