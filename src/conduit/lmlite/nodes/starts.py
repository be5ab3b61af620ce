"""The nodes of one deployment: finding those that live, starting those that are missing, and when each is ready.

Rows and nodes are changed under the deployment's lease only, since several processes may do so at once.
Waiting for readiness needs none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from conduit import compute, provisioning
from conduit.compute import NodeStatus, NodeView
from conduit.errors import (
    ConduitError,
    DeploymentFailed,
    DeploymentStopped,
)
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes import memory
from conduit.lmlite.nodes.model_files import ModelFiles
from conduit.lmlite.nodes.placing import Placed
from conduit.lmlite.nodes.sights import Sights
from conduit.lmlite.replicas.client import Client, Readiness
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState
from conduit.provisioning import Candidate, Site, Terms, exclusive, off_loop
from conduit.store import DeploymentState, NodeState

_log = logging.getLogger(__name__)

_SHOWN_LOG_LINES = 5
_NEWS_S = 0.5
_SILENT_START_S = 30.0


class Starts:
    """The starts of one deployment's nodes.

    Attributes:
        key: Of the deployment.
        label: Its name in messages.
        startup_timeout_s: How long they may take.
    """

    def __init__(
        self,
        site: Site,
        client: Client,
        config: ResourceConfig,
        models: Sequence[tuple[ModelConfig, ModelFiles]],
        *,
        key: str,
        place: Callable[[], Awaitable[Placed]],
        terms: Terms,
    ) -> None:
        """Touches nothing.

        Args:
            site: Where the deployment lives.
            client: The connections to its replicas.
            config: What is wanted.
            models: The models and their files.
            key: The deployment's.
            place: Tells what a replica may run on now.
            terms: What the nodes may take.
        """
        self._site, self._client, self._config = site, client, config
        self._models, self._place, self._terms = list(models), place, terms
        self._silent_since: dict[str, float] = {}
        self._sights = Sights(site)
        self.key = key
        self.label = f"Deployment {key} of {', '.join(config.model_ids)}"
        self.startup_timeout_s = site.settings.startup_timeout_s

    async def missing(
        self, started: list[str], *, joined: bool, again: bool = False, pool: Pool | None = None
    ) -> dict[str, int]:
        """Starts the missing replicas, and first ends those that the pool knows to be dead.

        Args:
            started: Gets the ids of new nodes, each before it exists.
            joined: This process has used the deployment before.
            again: Start even if another process stopped or deleted it since.
            pool: The replicas as they are known here.

        Returns:
            For each node its number.

        Raises:
            DeploymentStopped: Another process stopped or deleted it, and ``again`` is not set.
            ModelDoesNotFit: The machine's memory does not suffice.
            ComputeError: The provider cannot start a node.
        """
        site, key, config = self._site, self.key, self._config
        async with exclusive(site, key):
            before = await off_loop(site.store.deployment, key)
            if joined and not again and (before is None or before.state is DeploymentState.STOPPED):
                raise DeploymentStopped(
                    f"{self.label} was stopped or deleted by another process.",
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
                budget_usd=config.budget_usd,
            )
            await self.set_state(DeploymentState.STARTING)
            await off_loop(site.store.declare, key)
            if pool is not None:
                await self._end_dead(pool)
            found = await provisioning.living(site, key, config.nodes)
            missing = [number for number in range(config.nodes) if number not in found]
            candidates = await self._planned() if missing else ()
            if missing and site.provider.caps.this_machine and candidates[0].offering is None:
                available = await off_loop(memory.available_bytes)
                memory.check_fit(self._models, len(missing), available=available)
            for left, number in zip(range(len(missing), 0, -1), missing, strict=True):
                found[number] = await provisioning.start(
                    site,
                    key,
                    number,
                    candidates,
                    terms=replace(self._terms, nodes=left),
                    started=started,  # before it exists: a start that is cut off half-way is given back, too
                )
            if missing:
                await provisioning.sweep(site, key)
            self._sights.know(found.values())
            started_now = len(missing)
            _log.info("%s: %d replicas found, %d started", self.label, len(found) - started_now, started_now)
            return {view.node_id: number for number, view in found.items()}

    async def _planned(self) -> Sequence[Candidate]:
        """What the missing replicas may run on; the plan goes into the deployment's row."""
        placed = await self._place()
        await off_loop(
            self._site.store.set_deployment_plan,
            self.key,
            plan=placed.plan,
            budget_usd=self._config.budget_usd,
        )
        return placed.candidates

    async def ready(self, node_id: str) -> Replica | None:
        """The replica once all its models are ready, ``None`` before.

        Raises:
            DeploymentFailed: It will not become ready.
        """
        view, is_known = await self._sights.look(node_id)
        if not is_known:
            return None  # it is asked again, until the deadline
        if view is None or not view.alive:
            lines = (await self._sights.log_of(node_id)).strip().splitlines()[-_SHOWN_LOG_LINES:]
            code = f" with exit code {view.exit_code}" if view and view.exit_code is not None else ""
            raise DeploymentFailed(
                f"{self.label}: replica {node_id} ended{code} before it was ready. "
                f"Its last words: {' / '.join(lines) or 'none'}",
                hint=f"Its log: {view.log if view else 'gone'}.",
            )
        replica = await self.replica(view)
        if replica is None:
            return None
        said = await self._client.readiness(replica)
        if failed := [name for name, state in said.models.items() if state == "failed"]:
            reasons = "; ".join(f"{name}: {said.reasons.get(name, 'no reason given')}" for name in failed)
            raise DeploymentFailed(
                f"{self.label}: replica {node_id} cannot load {reasons.rstrip('.')}.",
                hint=f"Check the model's folder or id. The replica's log: {view.log}.",
                model_id=failed[0],
            )
        if said.status in (401, 403):
            raise DeploymentFailed(
                f"{self.label}: replica {node_id} refuses its token; owner.key has changed since it started.",
                hint="lm.restart() replaces the replica.",
            )
        self._check_speaks(node_id, said, view.log)
        if not said.ready:
            return None
        record = await off_loop(self._site.store.transition, node_id, NodeState.READY)
        return replace(replica, usd_per_hour=record.usd_per_hour or 0.0)

    def _check_speaks(self, node_id: str, said: Readiness, log: str | None) -> None:
        # While it loads a server answers that it does; one that hangs would be waited for till the deadline.
        if said.reachable or said.refused or said.unknown:
            self._silent_since.pop(node_id, None)
            return
        silent_s = time.monotonic() - self._silent_since.setdefault(node_id, time.monotonic())
        if silent_s > _SILENT_START_S:
            del self._silent_since[node_id]
            raise DeploymentFailed(
                f"{self.label}: replica {node_id} takes connections and has answered nothing for {silent_s:.0f} s.",
                hint=f"lm.restart() replaces it. Its log: {log}.",
            )

    async def replica(self, view: NodeView) -> Replica | None:
        """The replica of a node, once its address is known."""
        if view.status is not NodeStatus.RUNNING:
            return None
        url = await self._site.provider.endpoint(view, compute.SERVER_PORT)
        if url is None:
            return None
        token = view.token or self._site.owner.token(view.node_id)
        return Replica(view.node_id, url, token, view.log, view.certificate, elastic=view.serverless)

    async def set_state(self, state: DeploymentState, reason: str | None = None) -> None:
        """Writes the deployment's state into its row."""
        await off_loop(self._site.store.set_deployment_state, self.key, state, reason=reason)

    async def lives(self, node_id: str) -> bool:
        """Whether its provider still has it, as far as that can be told."""
        return await self._sights.lives(node_id)

    async def give_back(self, started: Collection[str], cause: ConduitError | None = None) -> None:
        """Ends what a failed start has started; never hides the failure itself.

        Args:
            started: The ids of its nodes.
            cause: Why the whole deployment has failed, if it has.
        """
        if not started:
            return
        try:
            async with exclusive(self._site, self.key):
                live = await off_loop(self._site.store.nodes, deployment_key=self.key, live=True)
                await provisioning.end_all(self._site, [node for node in live if node.id in started])
                if cause is not None:
                    await self.set_state(DeploymentState.FAILED, cause.message)
        except ConduitError:
            _log.exception("%s: what was started could not be given back; `conduit gc` does", self.label)

    async def _end_dead(self, pool: Pool) -> None:
        for replica in pool.dead():
            record = await off_loop(self._site.store.node, replica.node_id)
            if record is None or record.state.final or not await self.lives(replica.node_id):
                continue  # it is gone by itself, or another process has ended it
            elsewhere = not self._site.provider.caps.this_machine
            if elsewhere or pool.dead_s(replica) > _NEWS_S:
                # It may have come back while the lease was waited for, or only the way to it was broken.
                await pool.look(replica)
            if pool.state(replica) is ReplicaState.DEAD:
                _log.warning(
                    "%s: replica %s lives but is dead to requests: it is ended", self.label, record.id
                )
                # Without waiting for proof where that takes long: its place is needed.
                await provisioning.tell(self._site, record, at_once=True, reason="It was dead to requests.")
