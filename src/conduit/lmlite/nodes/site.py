"""Where deployments live: the records, the provider and the owner that belong to one set of settings."""

from __future__ import annotations

from collections.abc import Callable
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


async def open_site(settings: Settings, kind: ComputeProvider) -> Site:
    """Opens the records and the provider.

    Raises:
        ProviderUnavailable: Conduit cannot use that provider.
        StoreUnavailable: The data folder or the database cannot be used.
    """
    provider = await off_loop(compute.provider, kind, settings)
    owner = await off_loop(compute.load_owner, settings)
    return Site(settings, await off_loop(store.open_store, settings), provider, owner)


async def off_loop(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs something that touches disks in a thread, so that the loop goes on."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))
