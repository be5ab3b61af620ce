"""Reconciling again and again while a controller lives: one process at a time for each provider and owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from conduit.errors import ConduitError
from conduit.provisioning.reconcile import reconcile_site
from conduit.provisioning.site import Site, off_loop
from conduit.store import Lease

_log = logging.getLogger(__name__)

EVERY_S = 30.0
ORPHAN_GRACE_S = 120.0


class Keeper:
    """The care for one provider's nodes, for as long as its task runs."""

    def __init__(
        self, site: Site, wanted: Callable[[], Collection[str]], *, every_s: float = EVERY_S
    ) -> None:
        """Does nothing yet.

        Args:
            site: Whose nodes.
            wanted: Keys of the deployments that this process wants.
            every_s: Between two reconciliations.
        """
        self._site, self._wanted, self._every_s = site, wanted, every_s
        self._lease: Lease | None = None

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        try:
            while True:
                try:
                    await self._round()
                except ConduitError as error:
                    _log.warning("%s could not be reconciled: %s", self._site.provider.kind, error.message)
                await asyncio.sleep(self._every_s)
        finally:
            if self._lease is not None:
                await asyncio.shield(off_loop(self._site.store.release_lease, self._lease))

    async def _round(self) -> None:
        store, ttl_s = self._site.store, 3 * self._every_s
        if self._lease is None or not await off_loop(store.renew_lease, self._lease, ttl_s=ttl_s):
            name = f"reconcile:{self._site.provider.kind}:{self._site.owner.id}"
            self._lease = await off_loop(store.acquire_lease, name, ttl_s=ttl_s)
        if self._lease is None:
            return  # another process does it
        done = await reconcile_site(
            self._site,
            keep=self._wanted(),
            orphan_grace_s=ORPHAN_GRACE_S,
            # All processes of this machine are much to look through, and cost nothing.
            list_all=not self._site.provider.caps.this_machine,
        )
        for problem in done.errors:
            _log.warning("%s", problem)
