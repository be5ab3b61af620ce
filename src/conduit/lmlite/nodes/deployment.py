"""The replicas of one configuration: bringing them up, saying how they are, ending them.

All of it runs on the portal's loop. How nodes are found and started is in ``starts``; what happens to them while
they serve, in ``supervision``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import anyio

from conduit import provisioning
from conduit.compute import ComputeProvider
from conduit.errors import ConduitError, DeploymentFailed, ProviderError
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.nodes import placing
from conduit.lmlite.nodes.health import Health, ReplicaHealth
from conduit.lmlite.nodes.model_files import located
from conduit.lmlite.nodes.quote import Quote, quote, terms
from conduit.lmlite.nodes.starts import Starts
from conduit.lmlite.nodes.supervision import Supervision
from conduit.lmlite.replicas.client import Client, Readiness
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState
from conduit.provisioning import Keeper, Site, exclusive, off_loop
from conduit.settings import Settings
from conduit.store import DeploymentState, NodeRecord, NodeState

_log = logging.getLogger(__name__)

_FIRST_POLL_S, _LAST_POLL_S = 0.02, 0.25
_DRAIN_S = 5.0
_UNSEEN = (NodeState.INTENT, NodeState.CREATING)  # its provider may not show it yet


class Deployment:
    """One configuration on one site."""

    def __init__(self, site: Site, client: Client, config: ResourceConfig) -> None:
        self._site, self._client, self._config = site, client, config
        self._models = [(model, located(model, site.settings)) for model in config.models]
        self.key = deployment_key(config, site.settings, site.owner.id)
        self.owner = site.owner.id
        self.pool: Pool | None = None
        self._starts = Starts(
            site,
            client,
            config,
            self._models,
            key=self.key,
            place=partial(placing.place, site, config, self._models),
            terms=terms(site, config),
        )
        self._joined = False  # this process has used it before
        self._looked_at = -math.inf
        self._lock = anyio.Lock()
        self._supervised: Pool | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._reconciling: asyncio.Task[None] | None = None

    async def up(self, *, seen: Pool | None = None, again: bool = False) -> Pool:
        """The pool of ready replicas; starts what is missing.

        Args:
            seen: A pool that proved dead: it is not returned again before a look at what there is.
            again: Start even if another process stopped or deleted the deployment since this one joined it.

        Raises:
            DeploymentStopped: Another process stopped or deleted it, and ``again`` is not set.
            DeploymentFailed: A replica did not become ready.
            ModelDoesNotFit: The machine's memory does not suffice.
            ComputeError: The provider cannot start a node.
        """
        asked_at = anyio.current_time()
        async with self._lock:
            looked = seen is not self.pool or self._looked_at >= asked_at
            if self.pool is not None and looked and not again:
                return self.pool
            self._looked_at = anyio.current_time()
            self._reconcile()
            started: list[str] = []
            try:
                with anyio.fail_after(self._starts.startup_timeout_s):
                    replicas = await self._all_ready(started, again=again)
            except TimeoutError:
                error = DeploymentFailed(
                    f"{self._starts.label} was not ready within {self._starts.startup_timeout_s:g} s.",
                    hint="A large model may need longer: set CONDUIT_STARTUP_TIMEOUT_S.",
                )
                await self._starts.give_back(started, error)
                raise error from None
            except ConduitError as error:
                await self._starts.give_back(started, error)
                raise
            await self._starts.set_state(DeploymentState.READY)
            self._joined = True
            self.pool = self._pool_of(replicas)
            self._supervise(self.pool)
            return self.pool

    async def stop(self) -> None:
        """Ends all replicas, once what runs has ended or a short while has passed; records and logs stay."""
        await self._let_go()
        async with self._lock, exclusive(self._site, self.key):
            if await off_loop(self._site.store.deployment, self.key) is None:
                return
            await self._starts.set_state(DeploymentState.STOPPED)
            await off_loop(self._site.store.withdraw, self.key)
            await provisioning.end_all(
                self._site, await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
            )

    async def delete(self) -> None:
        """Ends all replicas as ``stop`` does, and removes all that is kept of them."""
        await self._let_go()
        async with self._lock, exclusive(self._site, self.key):
            await provisioning.remove(self._site, self.key)

    async def release(self) -> bool:
        """Deletes it, unless another live process wants it or it was told to stay; whether it is gone.

        Whoever brings it up declares that under the lease, before it uses a replica. So it is asked once more under
        the lease, and nobody who has just found the replicas alive loses them.
        """
        if await self.wanted_elsewhere():
            await self.withdraw()
            return False
        await self._let_go()
        async with self._lock, exclusive(self._site, self.key):
            if await self.wanted_elsewhere():
                await off_loop(self._site.store.withdraw, self.key)
                return False
            await provisioning.remove(self._site, self.key)
            return True

    async def health(self) -> Health:
        """How the deployment is; starts and changes nothing."""
        record = await off_loop(self._site.store.deployment, self.key)
        nodes = await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
        replicas: list[ReplicaHealth] = []

        async def look(node: NodeRecord) -> None:
            replicas.append(await self._replica_health(node))

        async with anyio.create_task_group() as group:
            for node in nodes:
                group.start_soon(look, node)
        return Health(
            key=self.key,
            state=record.state.value if record else "absent",
            ready=sum(replica.ready for replica in replicas) >= self._config.nodes,
            wanted_replicas=self._config.nodes,
            replicas=tuple(sorted(replicas, key=lambda r: (r.replica, r.node_id))),
            reason=record.reason if record else None,
            replaced=self.pool.replaced if self.pool is not None else 0,
        )

    async def _replica_health(self, node: NodeRecord) -> ReplicaHealth:
        try:
            view = await self._site.provider.get(node.id, node.handle or None)
        except ProviderError as error:
            _log.info("how node %s is cannot be told: %s", node.id, error.message)
            return ReplicaHealth(node.id, node.replica, node.state.value)
        if view is None or not view.alive:
            log = view.log if view else None
            state = node.state if view is None and node.state in _UNSEEN else NodeState.LOST
            return ReplicaHealth(node.id, node.replica, state.value, log=log)
        replica = await self._starts.replica(view)
        if replica is None:
            return ReplicaHealth(node.id, node.replica, node.state.value, log=view.log)
        said = await self._client.readiness(replica)
        return ReplicaHealth(
            node.id,
            node.replica,
            self._state(node, replica, said),
            url=replica.url,
            ready=said.ready,
            models=said.models,
            reasons=said.reasons,
            loading=said.loading,
            log=view.log,
            breaker=self.pool.breaker(replica) if self.pool is not None else "closed",
        )

    def _state(self, node: NodeRecord, replica: Replica, said: Readiness) -> str:
        """The recorded state, or how the replica proves to be where that tells more."""
        if said.draining:
            return ReplicaState.DRAINING.value
        if node.state is NodeState.READY and self.pool is not None and replica in self.pool.replicas:
            return self.pool.state(replica).value
        return node.state.value

    async def quote(self) -> Quote:
        """What it would run on and cost; starts nothing."""
        return await quote(self._site, self._config)

    async def keep(self, *, kept: bool) -> None:
        """Has it stay although no process wants it, or no longer."""
        await off_loop(self._site.store.keep_deployment, self.key, kept=kept)

    async def wanted_elsewhere(self) -> bool:
        """Whether another live process declares the deployment, or it was told to stay."""
        record = await off_loop(self._site.store.deployment, self.key)
        if record is not None and record.kept:
            return True
        declared = await off_loop(self._site.store.declarations, self.key)
        return any(not self._site.store.is_ours(declaration) for declaration in declared)

    async def leave(self, *, drain_s: float, stays: bool) -> None:
        """Lets what runs end, and ends the replicas too, unless they stay or another process wants them.

        Args:
            drain_s: How long what runs may go on.
            stays: The deployment goes on under another object of this process.
        """
        await self._let_go(drain_s)
        if not stays:
            await self.release()

    async def withdraw(self) -> None:
        """Records that this process does not want the deployment any more, and looks after it no longer."""
        await self._end_supervision()
        await off_loop(self._site.store.withdraw, self.key)

    async def _all_ready(self, started: list[str], *, again: bool) -> list[Replica]:
        """The ready replicas by number; new nodes' ids also go into ``started``."""
        nodes = await self._starts.missing(started, joined=self._joined, again=again, pool=self.pool)
        ready: dict[int, Replica] = {}
        pause_s, used_at = _FIRST_POLL_S, anyio.current_time()
        while True:
            for node_id, number in nodes.items():
                if number in ready:
                    continue
                if node_id not in started and not await self._starts.lives(node_id):
                    # One that ran already has ended meanwhile, such as by its idle limit.
                    return await self._all_ready(started, again=again)
                if (replica := await self._starts.ready(node_id)) is not None:
                    ready[number] = replica
            if len(ready) == len(nodes):
                return [ready[number] for number in sorted(ready)]
            if anyio.current_time() - used_at > (self._config.idle_timeout_s or math.inf) / 3:
                # The quick ones must not reach their idle limit while the slow ones still load.
                used_at = anyio.current_time()
                for replica in ready.values():
                    await self._client.use(replica)
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_POLL_S)

    def _pool_of(self, replicas: list[Replica]) -> Pool:
        """A new pool, or the one that there is, brought up to date."""
        pool = self.pool
        if pool is None or not pool.replicas:
            routing = self._config.routing
            return Pool(replicas, policy_name=routing.policy, hedge_after_s=routing.hedge_after_s)
        for gone in set(pool.replicas) - set(replicas):
            pool.leave(gone)
        for replica in replicas:
            pool.replaced += replica not in pool.replicas
            pool.join(replica)
        return pool

    def _supervise(self, pool: Pool) -> None:
        if self._supervised is not pool or self._supervising is None or self._supervising.done():
            if self._supervising is not None:
                self._supervising.cancel()
            work = Supervision(
                pool, self._starts, self._client, self._lock, idle_timeout_s=self._config.idle_timeout_s
            )
            self._supervised, self._supervising = pool, asyncio.create_task(work.run())
            self._supervising.add_done_callback(_tell)

    def _reconcile(self) -> None:
        """Reconciles records and provider beside what this process does, from its first start on."""
        if self._reconciling is None or self._reconciling.done():
            self._reconciling = asyncio.create_task(Keeper(self._site, lambda: [self.key]).run())
            self._reconciling.add_done_callback(_tell)

    async def _let_go(self, drain_s: float = _DRAIN_S) -> None:
        """Lets what runs on the replicas end, for that long at most, and gives them nothing more."""
        pool, self.pool = self.pool, None
        if pool is not None:
            await pool.close(drain_s)
        await self._end_supervision()

    async def _end_supervision(self) -> None:
        tasks = [
            task for task in (self._supervising, self._reconciling) if task is not None and not task.done()
        ]
        self._supervising = self._reconciling = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _tell(supervising: asyncio.Task[None]) -> None:
    if not supervising.cancelled() and (error := supervising.exception()) is not None:
        _log.error("replicas are no longer looked after", exc_info=error)


def deployment_key(config: ResourceConfig, settings: Settings, owner: str) -> str:
    """The key of a configuration, from its models' files as they are now.

    Raises:
        ModelNotFound: A model is neither a folder nor a possible hub id.
    """
    files = {model.model_id: located(model, settings).fingerprint for model in config.models}
    return config.key(project=settings.project, owner=owner, files=files, server=_server(config, settings))


def _server(config: ResourceConfig, settings: Settings) -> str:
    """The server that runs the models: its version, or the image that has it, and how it is spoken to."""
    runpod = settings.runpod_serverless_image if config.serverless else settings.runpod_image
    images: dict[str, str | None] = {
        ComputeProvider.RUNPOD: runpod,
        ComputeProvider.DOCKER: settings.docker_image,
    }
    tls = "over TLS" if settings.tls_certificate is not None else None
    return " ".join(filter(None, (_server_version(), images.get(config.provider), tls)))


def _server_version() -> str:
    try:
        return version("conduit-gpu-server")
    except PackageNotFoundError:
        return ""
