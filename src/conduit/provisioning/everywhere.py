"""The same for every provider: those that the records name, this machine, and those that are configured.

A provider that cannot be reached is reported and does not keep the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from conduit import store
from conduit.compute import ComputeProvider
from conduit.errors import ConduitError
from conduit.provisioning.bills import note_bill
from conduit.provisioning.reconcile import Reconciled, reconcile_site
from conduit.provisioning.site import Site, off_loop, site_for
from conduit.settings import Settings
from conduit.store import DeploymentCost


async def providers_in_use(settings: Settings) -> tuple[str, ...]:
    """Names of the providers on which something of this owner's may live, this machine first."""
    records = await off_loop(store.open_store, settings)
    named = {deployment.provider for deployment in await off_loop(records.deployments)}
    # What is configured counts, too: the records may have been lost, and the machines still cost.
    if settings.runpod_api_key is not None:
        named.add(str(ComputeProvider.RUNPOD))
    if settings.ssh_hosts:
        named.add(str(ComputeProvider.SSH))
    own = str(ComputeProvider.LOCAL)
    return (own, *sorted(named - {own}))


async def at_each(settings: Settings, work: Callable[[Site], Awaitable[None]]) -> dict[str, ConduitError]:
    """Does some work at the site of each provider in use; returns the errors of those where it failed."""
    errors = {}
    for kind in await providers_in_use(settings):
        try:
            async with site_for(settings, kind) as site:
                await work(site)
        except ConduitError as error:
            errors[kind] = error
    return errors


async def reconcile(
    settings: Settings, *, keep: Collection[str] = (), orphan_grace_s: float = 0.0
) -> Reconciled:
    """Brings records and providers into agreement, and returns when that is proven.

    Args:
        settings: Whose records and providers.
        keep: Keys of deployments that this process wants; those that a live process declared are kept, too.
        orphan_grace_s: How old a machine that no row knows must be before it is ended.

    Raises:
        StoreUnavailable: The records cannot be used.
    """
    whole = Reconciled()

    async def one(site: Site) -> None:
        whole.add(await reconcile_site(site, keep=keep, orphan_grace_s=orphan_grace_s))

    whole.errors += _lines(await at_each(settings, one))
    return whole


async def costs(
    settings: Settings,
    *,
    project: str | None = None,
    deployment_key: str | None = None,
    since: float | None = None,
    problems: list[str] | None = None,
) -> list[DeploymentCost]:
    """What deployments cost, deleted ones included, with what the providers have billed so far.

    Args:
        settings: Whose.
        project: Only that project's.
        deployment_key: Only that one.
        since: Unix seconds: only what they cost after that.
        problems: Gets a line for each bill that could not be had.

    Raises:
        StoreUnavailable: The records cannot be used.
    """
    unknown: list[str] = [] if problems is None else problems

    async def bills(site: Site) -> None:
        if site.provider.caps.costs:
            for record in await off_loop(site.store.nodes, deployment_key=deployment_key):
                if record.provider == str(site.provider.kind):
                    unknown.extend(filter(None, [await note_bill(site, record)]))

    unknown += _lines(await at_each(settings, bills))
    records = await off_loop(store.open_store, settings)
    return await off_loop(records.costs, project=project, deployment_key=deployment_key, since=since)


def _lines(errors: Mapping[str, ConduitError]) -> list[str]:
    return [f"{kind}: {error.message}" for kind, error in errors.items()]
