"""The replicas of one configuration: bringing them up, saying how they are, ending them.

All of it runs on the portal's loop. How nodes are found and started is in ``starts``; what happens to them while
they serve, in ``supervision``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import anyio

from conduit.errors import ConduitError, DeploymentFailed
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes import node_steps
from conduit.lmlite.nodes.exclusive import exclusive
from conduit.lmlite.nodes.health import Health, ReplicaHealth
from conduit.lmlite.nodes.model_files import ModelFiles, locate
from conduit.lmlite.nodes.site import Site, off_loop
from conduit.lmlite.nodes.starts import Starts
from conduit.lmlite.nodes.supervision import Supervision
from conduit.lmlite.replicas.client import Client, Readiness
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState
from conduit.settings import Settings
from conduit.store import DeploymentState, NodeRecord, NodeState

_log = logging.getLogger(__name__)

_FIRST_POLL_S, _LAST_POLL_S = 0.02, 0.25
_DRAIN_S = 5.0
_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}  # checkpoints' names to the server's


class Deployment:
    """One configuration on one site."""

    def __init__(self, site: Site, client: Client, config: ResourceConfig) -> None:
        self._site, self._client, self._config = site, client, config
        self._models = [(model, locate(model)) for model in config.models]
        self.key = deployment_key(config, site.settings, site.owner.id)
        self.owner = site.owner.id
        self.pool: Pool | None = None
        self._starts = Starts(
            site,
            client,
            config,
            self._models,
            key=self.key,
            server_config=server_config(config, self._models, site.settings),
        )
        self._joined = False  # this process has used it before
        self._looked_at = -math.inf
        self._lock = anyio.Lock()
        self._supervised: Pool | None = None
        self._supervising: asyncio.Task[None] | None = None

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
        async with self._lock, exclusive(self._site.settings.data_dir, self.key):
            if await off_loop(self._site.store.deployment, self.key) is None:
                return
            await self._starts.set_state(DeploymentState.STOPPED)
            await off_loop(self._site.store.withdraw, self.key)
            await node_steps.end_all(
                self._site, await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
            )

    async def delete(self) -> None:
        """Ends all replicas as ``stop`` does, and removes all that is kept of them."""
        await self._let_go()
        async with self._lock, exclusive(self._site.settings.data_dir, self.key):
            await node_steps.remove(self._site, self.key)

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
            ready=sum(replica.ready for replica in replicas) >= self._config.replicas,
            wanted_replicas=self._config.replicas,
            replicas=tuple(sorted(replicas, key=lambda r: (r.replica, r.node_id))),
            reason=record.reason if record else None,
            replaced=self.pool.replaced if self.pool is not None else 0,
        )

    async def _replica_health(self, node: NodeRecord) -> ReplicaHealth:
        view = await self._site.provider.get(node.id)
        if view is None or not view.alive:
            log = view.log if view else None
            return ReplicaHealth(node.id, node.replica, NodeState.LOST.value, log=log)
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

    async def wanted_elsewhere(self) -> bool:
        """Whether another live process declares the deployment."""
        declared = await off_loop(self._site.store.declarations, self.key)
        return any(not self._site.store.is_ours(declaration) for declaration in declared)

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

    async def _let_go(self) -> None:
        """Lets what runs on the replicas end, for a short while, and gives them nothing more."""
        pool, self.pool = self.pool, None
        if pool is not None:
            await pool.close(_DRAIN_S)
        await self._end_supervision()

    async def _end_supervision(self) -> None:
        task, self._supervising = self._supervising, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])


def _tell(supervising: asyncio.Task[None]) -> None:
    if not supervising.cancelled() and (error := supervising.exception()) is not None:
        _log.error("replicas are no longer looked after", exc_info=error)


def deployment_key(config: ResourceConfig, settings: Settings, owner: str) -> str:
    """The key of a configuration, from its models' files as they are now.

    Raises:
        ModelNotFound: A model is neither a folder nor a possible hub id.
    """
    files = {model.model_id: locate(model).fingerprint for model in config.models}
    server = _server_version() if settings.tls_certificate is None else f"{_server_version()} over TLS"
    return config.key(project=settings.project, owner=owner, files=files, server=server)


def server_config(
    config: ResourceConfig, models: list[tuple[ModelConfig, ModelFiles]], settings: Settings
) -> dict[str, Any]:
    """What a replica's server is started with; the provider adds its address."""
    return {
        "idle_timeout_s": config.idle_timeout_s,
        "max_lifetime_s": config.max_lifetime_s,
        "tls_certificate": None if settings.tls_certificate is None else str(settings.tls_certificate),
        "tls_key": None if settings.tls_key is None else str(settings.tls_key),
        "models": [
            {
                "model_id": model.model_id,
                "path": None if files.path is None else str(files.path),
                "engine": model.engine,
                "task": model.task,
                "max_model_len": model.max_model_len,
                "max_model_concurrency": model.max_model_concurrency,
                "model_batch_execute_timeout_ms": model.model_batch_execute_timeout_ms,
                "max_queue": model.max_queue,
                "dtype": _DTYPES.get(model.dtype, model.dtype) if model.dtype else None,
                "revision": model.revision,
                "quantization": model.quantization,
                "memory_fraction": model.memory_fraction,
                "tensor_parallel": model.tensor_parallel,
                "engine_command": model.engine_command,
                "engine_args": model.engine_args,
                "url": model.url,
                "api_key_variable": model.api_key_variable,
                "startup_timeout_s": settings.startup_timeout_s,
            }
            for model, files in models
        ],
    }


def _server_version() -> str:
    try:
        return version("conduit-gpu-server")
    except PackageNotFoundError:
        return ""
