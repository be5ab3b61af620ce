"""The RunPod provider: a node is a pod, or a serverless endpoint, found again by its name.

It does what the protocol says and no more: one request for one machine, no second try, no record. Names are not
unique at RunPod, so there may be several pods of one node; a handle says which is meant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from conduit.compute.base import (
    Caps,
    ComputeProvider,
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
    check_node_id,
)
from conduit.compute.runpod import catalog, logs, orders
from conduit.compute.runpod.answers import LOOK_HINT, PROVIDER
from conduit.compute.runpod.api import Api
from conduit.compute.runpod.catalog import Cloud
from conduit.compute.runpod.views import GONE, PATHS, Kind, of_handle, view
from conduit.errors import AmbiguousAnswer, ConduitError, NodeFailed, ProviderRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from conduit.compute.owner import Owner
    from conduit.settings import Settings

_CATALOG = "/v2/catalog/gpus"


class RunPodProvider:
    """Nodes as pods and serverless endpoints of one RunPod account."""

    kind = ComputeProvider.RUNPOD

    def __init__(
        self,
        api: Api,
        owner: Owner,
        defaults: orders.NodeDefaults,
        *,
        proxy_url: str,
        serverless_url: str,
        settle_s: float,
        absent_gap_s: float,
    ) -> None:
        """Asks nothing yet.

        Args:
            api: Of the account.
            owner: Whose nodes these are.
            defaults: What every node gets.
            proxy_url: Address of a pod's port, with ``{pod_id}`` and ``{port}``.
            serverless_url: Address of an endpoint's OpenAI routes, with ``{endpoint_id}``.
            settle_s: For how long after an ambiguous answer a pod may still turn up.
            absent_gap_s: How far apart two answers "absent" must lie.
        """
        self._api = api
        self._owner = owner
        self._defaults = defaults
        self._proxy_url = proxy_url
        self._serverless_url = serverless_url
        self.caps = Caps(
            this_machine=False,
            gpus=True,
            costs=True,
            settle_s=settle_s,
            absent_gap_s=absent_gap_s,
            serverless=True,
        )

    @classmethod
    def from_settings(
        cls, settings: Settings, owner: Owner, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> RunPodProvider:
        """The provider of the account whose key the settings hold.

        Args:
            settings: With the key; without one every method raises ``ProviderUnauthorized``.
            owner: Whose nodes these are.
            transport: In place of the network.
        """
        return cls(
            Api.from_settings(settings, transport=transport),
            owner,
            orders.NodeDefaults(
                image=settings.runpod_image,
                serverless_image=settings.runpod_serverless_image,
                volume=settings.runpod_volume,
                disk_gb=settings.runpod_disk_gb,
                min_cuda=settings.runpod_min_cuda,
                api_url=settings.runpod_base_url,
                hf_token=settings.hf_token,
            ),
            proxy_url=settings.runpod_proxy_url,
            serverless_url=settings.runpod_serverless_url,
            settle_s=settings.runpod_settle_s,
            absent_gap_s=settings.runpod_absent_gap_s,
        )

    async def offerings(self, query: OfferingQuery, /) -> list[Offering]:
        """GPU types on sale, by cloud and number; with a network volume only where the volume lies.

        Raises:
            ProviderRejected: The volume is not there, or lies in none of the regions asked for.
            ProviderError: As ``error_of`` says of a request that reads.
        """
        clouds: Sequence[Cloud] = ("SECURE",) if query.secure else get_args(Cloud)
        if self._defaults.volume is not None:
            # Community machines have no network volumes.
            query, clouds = replace(query, regions=(await self._volume_region(query),)), ("SECURE",)
        found = []
        for count in query.gpu_counts:
            for cloud in clouds:
                types = await self._types(count, cloud)
                found += catalog.offerings(types, query, cloud, count)
        return found

    async def create(self, spec: NodeSpec) -> NodeView:
        """Asks for one pod, or one endpoint, and returns what RunPod says of it.

        Raises:
            ProviderError: As ``error_of`` says of a request that creates.
        """
        if spec.owner != self._owner.id:
            raise ProviderRejected(
                f"Node {spec.node_id} is of owner {spec.owner}, and this provider of {self._owner.id}.",
                hint="Use the provider of the data folder that the node belongs to.",
                provider=PROVIDER,
            )
        if spec.serverless:
            return await self._create_endpoint(spec)
        order = orders.pod(spec, self._owner, self._defaults)
        return self._created("pod", await self._api.create(PATHS["pod"], order.body, order.secrets))

    async def list_owned(self, owner: str) -> list[NodeView]:
        """All pods and endpoints of that owner that RunPod shows.

        Also those that have exited: they cost nothing by the hour, but are there until they are destroyed.
        """
        return [found for kind in PATHS for found in await self._listed(kind, owner)]

    async def get(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node; None when RunPod shows it neither by its id nor in its lists.

        Of several pods the one that serves is taken before one that does not yet, and an older before a younger.
        """
        check_node_id(node_id)
        found = await self._find(node_id, handle)
        # RunPod answers for an endpoint itself, and takes the account's key alone.
        return replace(found, token=self._api.key) if found is not None and found.serverless else found

    async def _find(self, node_id: str, handle: Mapping[str, Any] | None) -> NodeView | None:
        if handle is None:
            return min(await self._all_of(node_id), key=_preference, default=None)
        kind, known_as = of_handle(handle)
        shown = await self._api.find(f"{PATHS[kind]}/{known_as}")
        if shown is not None:
            found = view(kind, shown, self._owner.id, node_id)
            return None if found is None or found.said == GONE else found
        # One "not found" may be lag: only when the list does not have it either it is absent.
        return next((v for v in await self._listed(kind, self._owner.id) if v.handle["id"] == known_as), None)

    async def destroy(
        self, node_id: str, handle: Mapping[str, Any] | None = None, /, *, at_once: bool = False
    ) -> None:
        """Has RunPod delete the pod or endpoint, or all of that node. Its word that it did is no proof.

        Args:
            node_id: Which.
            handle: Which machine of it; None for all.
            at_once: RunPod gives a container the same short time in either case.
        """
        del at_once
        check_node_id(node_id)
        handles = [handle] if handle is not None else [v.handle for v in await self._all_of(node_id)]
        failed: ConduitError | None = None
        for each in handles:
            kind, known_as = of_handle(each)
            try:
                await self._api.delete(f"{PATHS[kind]}/{known_as}")
            except ConduitError as error:
                failed = error  # the others are to go all the same
        if failed is not None:
            raise failed

    async def forget(self, node_id: str) -> None:
        """Deletes what is left of a node that has exited.

        Raises:
            NodeFailed: The node still lives.
        """
        check_node_id(node_id)
        left = await self._all_of(node_id)
        if any(found.alive for found in left):
            raise NodeFailed(
                f"Node {node_id} still lives at RunPod.",
                hint="End it first: `conduit down`.",
                node_id=node_id,
            )
        for found in left:
            await self.destroy(node_id, found.handle)

    async def endpoint(self, view: NodeView, port: int, /) -> str | None:
        """RunPod's proxy to the pod, or the OpenAI routes of an endpoint, which take the account's key as token."""
        if view.status is not NodeStatus.RUNNING:
            return None
        kind, known_as = of_handle(view.handle)
        if kind == "endpoint":
            return self._serverless_url.format(endpoint_id=known_as)
        return self._proxy_url.format(pod_id=known_as, port=port)

    async def logs(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> str:
        """The end of what the container wrote; of an endpoint, what its workers did."""
        check_node_id(node_id)
        if handle is None:
            found = await self.get(node_id)
            handle = None if found is None else found.handle
        return "" if handle is None else await logs.tail(self._api, *of_handle(handle))

    async def billed_usd(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> float | None:
        """What RunPod's billing has for the pod or endpoint; it lags behind by up to an hour."""
        check_node_id(node_id)
        handles = [handle] if handle is not None else [v.handle for v in await self._all_of(node_id)]
        amounts = [amount for each in handles if (amount := await self._billed(each)) is not None]
        return sum(amounts) if amounts else None

    async def aclose(self) -> None:
        """There is nothing to close: each request has a connection of its own."""

    async def _create_endpoint(self, spec: NodeSpec) -> NodeView:
        gpu = spec.offering.gpu if spec.offering else ""
        pool, others, usd = catalog.pool(await self._api.items(_CATALOG, "gpus"), gpu)
        order = orders.endpoint(spec, self._owner, self._defaults, pool, others)
        made = self._created("endpoint", await self._api.create(PATHS["endpoint"], order.body, order.secrets))
        count = spec.offering.gpu_count if spec.offering else 1
        # The most that it can cost: all workers at work.
        return replace(made, usd_per_hour=None if usd is None else usd * count * spec.max_workers)

    def _created(self, kind: Kind, shown: Mapping[str, Any]) -> NodeView:
        made = view(kind, shown, self._owner.id)
        if made is None:
            raise AmbiguousAnswer(
                f"RunPod says that it created a {kind}, but shows another one's name.",
                hint=LOOK_HINT,
                provider=PROVIDER,
            )
        return made

    async def _all_of(self, node_id: str) -> list[NodeView]:
        return [found for found in await self.list_owned(self._owner.id) if found.node_id == node_id]

    async def _listed(self, kind: Kind, owner: str) -> list[NodeView]:
        shown = await self._api.items(PATHS[kind], f"{kind}s")
        views = [view(kind, each, owner) for each in shown]
        return [found for found in views if found is not None and found.said != GONE]

    async def _types(self, count: int, cloud: Cloud) -> list[Mapping[str, Any]]:
        asked = {"include": "AVAILABILITY", "product": "POD", "cloud": cloud}
        return await self._api.items(_CATALOG, "gpus", {**asked, "count": count})

    async def _volume_region(self, query: OfferingQuery) -> str:
        volume = await self._api.find(f"/v2/network-volumes/{self._defaults.volume}")
        region = None if volume is None else volume.get("dataCenter")
        if not isinstance(region, str):
            raise ProviderRejected(
                f"RunPod has no network volume {self._defaults.volume} for this account.",
                hint="Correct or unset CONDUIT_RUNPOD_VOLUME.",
                provider=PROVIDER,
            )
        if query.regions and region not in query.regions:
            raise ProviderRejected(
                f"The network volume {self._defaults.volume} lies in {region}, not in {', '.join(query.regions)}.",
                hint=f"Ask for {region}, or unset CONDUIT_RUNPOD_VOLUME.",
                provider=PROVIDER,
            )
        return region

    async def _billed(self, handle: Mapping[str, Any]) -> float | None:
        kind, known_as = of_handle(handle)
        path = "/v2/billing/pods" if kind == "pod" else "/v2/billing/serverless"
        name = "podId" if kind == "pod" else "serverlessId"
        records = await self._api.items(path, "records", {name: known_as, "bucketSize": "month", "lastN": 12})
        amounts = [record.get("totalAmount") for record in records]
        return (
            sum(float(amount) for amount in amounts if isinstance(amount, int | float)) if records else None
        )


def _preference(found: NodeView) -> tuple[int, float]:
    order = (NodeStatus.RUNNING, NodeStatus.STARTING, NodeStatus.EXITED)
    return order.index(found.status), found.created_at or 0.0
