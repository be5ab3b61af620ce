"""The replicas of one configuration: finding them, starting what is missing, waiting for them, ending them.

All of it runs on the portal's loop. Several processes may do this at once for the same configuration: rows and
processes are changed under the deployment's file lock only, and waiting for readiness needs none.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import anyio

from conduit import compute
from conduit.compute import NodeStatus, NodeView
from conduit.errors import ConduitError, DeploymentFailed, DeploymentStopped
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes import memory, node_steps
from conduit.lmlite.nodes.exclusive import exclusive
from conduit.lmlite.nodes.health import Health, ReplicaHealth
from conduit.lmlite.nodes.model_files import ModelFiles, locate
from conduit.lmlite.nodes.site import Site, off_loop
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.store import DeploymentState, NodeRecord, NodeState

_log = logging.getLogger(__name__)

_FIRST_POLL_S, _LAST_POLL_S = 0.02, 0.25
_SHOWN_LOG_LINES = 5
_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}  # checkpoints' names to the server's


class Deployment:
    """One configuration on one site."""

    def __init__(self, site: Site, client: Client, config: ResourceConfig) -> None:
        self._site, self._client, self._config = site, client, config
        self._models = [(model, locate(model)) for model in config.models]
        self.key = deployment_key(config, site.settings.project, site.owner.id)
        self.owner = site.owner.id
        self.pool: Pool | None = None
        self._joined = False  # this process has used it before
        self._lock = anyio.Lock()

    async def up(self, *, seen: Pool | None = None, again: bool = False) -> Pool:
        """The pool of ready replicas; starts what is missing.

        Args:
            seen: A pool that proved dead: it is not returned again.
            again: Start even if another process stopped or deleted the deployment since this one joined it.

        Raises:
            DeploymentStopped: Another process stopped or deleted it, and ``again`` is not set.
            DeploymentFailed: A replica did not become ready.
            ModelDoesNotFit: The machine's memory does not suffice.
            ComputeError: The provider cannot start a node.
        """
        async with self._lock:
            if self.pool is not None and self.pool is not seen and not again:
                return self.pool
            started: list[str] = []
            try:
                with anyio.fail_after(self._site.settings.startup_timeout_s):
                    nodes = await self._start_missing(started, again=again)
                    self.pool = await self._when_ready(nodes)
            except TimeoutError:
                error = DeploymentFailed(
                    f"{self._label} was not ready within {self._site.settings.startup_timeout_s:g} s.",
                    hint="A large model may need longer: set CONDUIT_STARTUP_TIMEOUT_S.",
                )
                await self._give_back(started, error)
                raise error from None
            except ConduitError as error:
                await self._give_back(started, error)
                raise
            await off_loop(self._site.store.set_deployment_state, self.key, DeploymentState.READY)
            self._joined = True
            return self.pool

    async def stop(self) -> None:
        """Ends all replicas; the records and logs stay."""
        async with self._lock, exclusive(self._site.settings.data_dir, self.key):
            self.pool = None
            if await off_loop(self._site.store.deployment, self.key) is None:
                return
            await off_loop(self._site.store.set_deployment_state, self.key, DeploymentState.STOPPED)
            await off_loop(self._site.store.withdraw, self.key)
            await node_steps.end_all(
                self._site, await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
            )

    async def delete(self) -> None:
        """Ends all replicas and removes all that is kept of them."""
        async with self._lock, exclusive(self._site.settings.data_dir, self.key):
            self.pool = None
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
        )

    async def _replica_health(self, node: NodeRecord) -> ReplicaHealth:
        view = await self._site.provider.get(node.id)
        if view is None or not view.alive:
            log = view.log if view else None
            return ReplicaHealth(node.id, node.replica, NodeState.LOST.value, log=log)
        replica = await self._replica(view)
        if replica is None:
            return ReplicaHealth(node.id, node.replica, node.state.value, log=view.log)
        said = await self._client.readiness(replica)
        return ReplicaHealth(
            node.id,
            node.replica,
            node.state.value,
            url=replica.url,
            ready=said.ready,
            models=said.models,
            reasons=said.reasons,
            log=view.log,
        )

    async def wanted_elsewhere(self) -> bool:
        """Whether another live process declares the deployment."""
        declared = await off_loop(self._site.store.declarations, self.key)
        return any(not self._site.store.is_ours(declaration) for declaration in declared)

    async def withdraw(self) -> None:
        """Records that this process does not want the deployment any more."""
        await off_loop(self._site.store.withdraw, self.key)

    @property
    def _label(self) -> str:
        return f"Deployment {self.key} of {', '.join(self._config.model_ids)}"

    async def _start_missing(self, started: list[str], *, again: bool) -> dict[str, int]:
        """Starts the missing replicas; returns each node's number, and new nodes' ids also in ``started``."""
        site, key, config = self._site, self.key, self._config
        async with exclusive(site.settings.data_dir, key):
            before = await off_loop(site.store.deployment, key)
            stopped = before is None or before.state is DeploymentState.STOPPED
            if self._joined and stopped and not again:
                raise DeploymentStopped(
                    f"{self._label} was stopped or deleted by another process.",
                    hint="lm.up() starts it again.",
                )
            await off_loop(
                site.store.put_deployment,
                key,
                project=site.settings.project,
                owner=site.owner.id,
                provider=site.provider.kind,
                name=config.name,
                spec=config.spec(),
            )
            await off_loop(site.store.set_deployment_state, key, DeploymentState.STARTING)
            await off_loop(site.store.declare, key)
            found = await node_steps.living(site, key, config.replicas)
            missing = [number for number in range(config.replicas) if number not in found]
            if missing and site.provider.caps.this_machine:
                available = await off_loop(memory.available_bytes)
                memory.check_fit(self._models, len(missing), available=available)
            nodes = {view.node_id: number for number, view in found.items()}
            for number in missing:
                node_id = compute.new_node_id()
                started.append(
                    node_id
                )  # before it exists: a start that is cut off half-way is given back, too
                await node_steps.start(site, key, node_id, number, server_config(config, self._models))
                nodes[node_id] = number
            if missing:
                await node_steps.sweep(site, key)
            _log.info("%s: %d replicas found, %d started", self._label, len(found), len(missing))
            return nodes

    async def _when_ready(self, nodes: Mapping[str, int]) -> Pool:
        ready: dict[int, Replica] = {}
        pause_s, used_at = _FIRST_POLL_S, anyio.current_time()
        while True:
            for node_id, number in nodes.items():
                if number not in ready and (replica := await self._ready_replica(node_id)) is not None:
                    await off_loop(self._site.store.transition, node_id, NodeState.READY)
                    ready[number] = replica
            if len(ready) == len(nodes):
                return Pool([ready[number] for number in sorted(ready)])
            if anyio.current_time() - used_at > (self._config.idle_timeout_s or math.inf) / 3:
                # The quick ones must not reach their idle limit while the slow ones still load.
                used_at = anyio.current_time()
                for replica in ready.values():
                    await self._client.use(replica)
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_POLL_S)

    async def _ready_replica(self, node_id: str) -> Replica | None:
        """The replica once all its models are ready, ``None`` before.

        Raises:
            DeploymentFailed: It will not become ready.
        """
        view = await self._site.provider.get(node_id)
        if view is None or not view.alive:
            lines = (await self._site.provider.logs(node_id)).strip().splitlines()[-_SHOWN_LOG_LINES:]
            code = f" with exit code {view.exit_code}" if view and view.exit_code is not None else ""
            raise DeploymentFailed(
                f"{self._label}: replica {node_id} ended{code} before it was ready. "
                f"Its last words: {' / '.join(lines) or 'none'}",
                hint=f"Its log: {view.log if view else 'gone'}.",
            )
        replica = await self._replica(view)
        if replica is None:
            return None
        said = await self._client.readiness(replica)
        if failed := [name for name, state in said.models.items() if state == "failed"]:
            reasons = "; ".join(f"{name}: {said.reasons.get(name, 'no reason given')}" for name in failed)
            raise DeploymentFailed(
                f"{self._label}: replica {node_id} cannot load {reasons.rstrip('.')}.",
                hint=f"Check the model's folder or id. The replica's log: {view.log}.",
                model_id=failed[0],
            )
        if said.status in (401, 403):
            raise DeploymentFailed(
                f"{self._label}: replica {node_id} refuses its token; owner.key has changed since it started.",
                hint="lm.restart() replaces the replica.",
            )
        return replica if said.ready else None

    async def _replica(self, view: NodeView) -> Replica | None:
        if view.status is not NodeStatus.RUNNING:
            return None
        url = await self._site.provider.endpoint(view, compute.SERVER_PORT)
        token = self._site.owner.token(view.node_id)
        return None if url is None else Replica(view.node_id, url, token, view.log)

    async def _give_back(self, started: list[str], cause: ConduitError) -> None:
        """Ends what a failed start has started; never hides the failure itself."""
        if not started:
            return
        try:
            async with exclusive(self._site.settings.data_dir, self.key):
                live = await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
                await node_steps.end_all(self._site, [node for node in live if node.id in started])
                await off_loop(
                    self._site.store.set_deployment_state,
                    self.key,
                    DeploymentState.FAILED,
                    reason=cause.message,
                )
        except ConduitError:
            _log.exception("%s: what was started could not be given back; `conduit gc` does", self._label)


def deployment_key(config: ResourceConfig, project: str, owner: str) -> str:
    """The key of a configuration, from its models' files as they are now.

    Raises:
        ModelNotFound: A model is neither a folder nor a possible hub id.
    """
    files = {model.model_id: locate(model).fingerprint for model in config.models}
    return config.key(project=project, owner=owner, files=files, server=_server_version())


def server_config(config: ResourceConfig, models: list[tuple[ModelConfig, ModelFiles]]) -> dict[str, Any]:
    """What a replica's server is started with; the provider adds its address."""
    return {
        "idle_timeout_s": config.idle_timeout_s,
        "max_lifetime_s": config.max_lifetime_s,
        "models": [
            {
                "model_id": model.model_id,
                "path": None if files.path is None else str(files.path),
                "engine": "mistralrs",
                "max_model_len": model.max_model_len,
                "max_model_concurrency": model.max_model_concurrency,
                "model_batch_execute_timeout_ms": model.model_batch_execute_timeout_ms,
                "dtype": _DTYPES.get(model.dtype, model.dtype) if model.dtype else None,
                "revision": model.revision,
                "quantization": model.quantization,
            }
            for model, files in models
        ],
    }


def _server_version() -> str:
    try:
        return version("conduit-gpu-server")
    except PackageNotFoundError:
        return ""
