"""How a deployment's nodes look to their provider, and how far that can be believed.

A provider elsewhere is asked about a node at most once a second, whoever wants to know: it counts the questions.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from conduit.compute import NodeView
from conduit.errors import ProviderBusy, ProviderError, ProviderUnauthorized
from conduit.provisioning import Site

_log = logging.getLogger(__name__)

_AGAIN_S = 1.0
_LONGEST_S = 30.0


class Sights:
    """What is known of the nodes of one deployment."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._handles: dict[str, Mapping[str, Any]] = {}
        self._absent_since: dict[str, float] = {}
        self._shown: set[str] = set()
        self._kept: dict[str, tuple[float, tuple[NodeView | None, bool]]] = {}

    def know(self, views: Iterable[NodeView]) -> None:
        """Keeps which machine each node is."""
        self._handles |= {view.node_id: view.handle for view in views}

    async def look(self, node_id: str) -> tuple[NodeView | None, bool]:
        """The node as its provider shows it, and whether that can be believed.

        Raises:
            ProviderUnauthorized: The provider takes no questions from this account.
            ComputeError: The provider itself is at fault.
        """
        until, kept = self._kept.get(node_id, (-math.inf, (None, False)))
        if time.monotonic() < until:
            return kept
        good_for_s = _AGAIN_S
        try:
            seen = self._believed(node_id, await self._site.provider.get(node_id, self._handles.get(node_id)))
        except ProviderUnauthorized:
            raise
        except ProviderError as error:
            _log.info("how node %s is cannot be told: %s", node_id, error.message)
            seen = None, False
            if isinstance(error, ProviderBusy) and error.retry_after_s is not None:
                good_for_s = min(max(error.retry_after_s, _AGAIN_S), _LONGEST_S)
        if self._site.provider.caps.costs:
            self._kept[node_id] = time.monotonic() + good_for_s, seen
        return seen

    async def lives(self, node_id: str) -> bool:
        """Whether its provider still has it, as far as that can be told."""
        view, is_known = await self.look(node_id)
        return not is_known or (view is not None and view.alive)

    async def log_of(self, node_id: str) -> str:
        """The end of the node's log, or why there is none."""
        try:
            return await self._site.provider.logs(node_id, self._handles.get(node_id))
        except ProviderError as error:
            return f"(not to be had: {error.message})"

    def _believed(self, node_id: str, view: NodeView | None) -> tuple[NodeView | None, bool]:
        if view is not None:
            self._absent_since.pop(node_id, None)
            self._shown.add(node_id)
            return view, True
        # Providers take a while to show what is new, and may lose sight of what is there.
        caps = self._site.provider.caps
        settle_s = 0.0 if node_id in self._shown else caps.settle_s
        absent_s = time.monotonic() - self._absent_since.setdefault(node_id, time.monotonic())
        return None, absent_s >= settle_s + caps.absent_gap_s
