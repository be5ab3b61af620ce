"""Looks after the replicas of a pool while they serve: asks how they are, and replaces those that die.

A dead replica is ended and replaced in the background, as long as the deployment is in use: one that nobody calls
may end by its idle limit, and comes back with the next call. What another process stopped is not started again;
what another process replaced is taken over.
"""

from __future__ import annotations

import asyncio
import logging
import math

import anyio

from conduit.errors import ConduitError, DeploymentStopped
from conduit.lmlite.nodes.starts import Starts
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.probes import Probes
from conduit.store import DeploymentState

_log = logging.getLogger(__name__)

_POLL_S = 0.1
_RECHECK_S = 1.0
_SHORT_LIFE_S = 15.0  # a replacement that lives no longer makes the next one wait
_LONGEST_WAIT_S = 60.0
_IDLE_SHARE = 0.9  # of the idle limit, from which on an end counts as idling


class Supervision:
    """The care for one pool, on the loop that the pool is used on."""

    def __init__(
        self,
        pool: Pool,
        starts: Starts,
        client: Client,
        lock: anyio.Lock,
        *,
        idle_timeout_s: float | None,
    ) -> None:
        """Does nothing yet.

        Args:
            pool: Whose replicas.
            starts: How the deployment's nodes are found and started.
            client: The connections to the replicas.
            lock: Held by whoever brings the deployment up or down in this process.
            idle_timeout_s: After which a replica that is not used ends by itself.
        """
        self._pool, self._starts, self._lock = pool, starts, lock
        self._probes = Probes(pool, client)
        self._idle_s = _IDLE_SHARE * (idle_timeout_s or math.inf)
        self._stirred = asyncio.Event()
        self._joining: set[str] = set()
        self._joined_at: dict[str, float] = {}
        self._short_lives = 0
        self._not_before = -math.inf
        self._asleep_since: float | None = None  # replicas have ended unused since then

    async def run(self) -> None:
        """Goes on until it is cancelled, or the deployment was stopped elsewhere."""
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probes.run())
            await self._mend(group)
            probing.cancel()

    async def _mend(self, group: asyncio.TaskGroup) -> None:
        stirred = self._stirred
        unwatch = self._pool.watch(stirred.set)
        try:
            while True:
                stirred.clear()
                self._let_sleep()
                if self._wants() and anyio.current_time() >= self._not_before:
                    await self._replace(group)
                with anyio.move_on_after(_RECHECK_S if self._wants() else math.inf):
                    await stirred.wait()
        except DeploymentStopped:
            _log.info("%s was stopped elsewhere: its replicas are not replaced", self._starts.label)
            for replica in self._pool.replicas:
                self._pool.leave(replica)
        finally:
            unwatch()

    def _let_sleep(self) -> None:
        """Takes out the replicas that ended because nobody used them."""
        for replica in self._pool.dead():
            if self._pool.unused_s(replica) >= self._idle_s:
                _log.info("replica %s ended by its idle limit", replica.node_id)
                self._pool.leave(replica)
                self._asleep_since = self._pool.used_at

    def _wants(self) -> bool:
        """Whether a replica is to be replaced, now or as soon as it may be tried again."""
        pool = self._pool
        if pool.closed or not pool.in_use():
            return False
        if self._asleep_since is not None and pool.used_at > self._asleep_since:
            self._asleep_since = None  # it is called again
        missing = pool.wanted - len(pool.replicas) - len(self._joining)
        return bool(pool.dead()) or (missing > 0 and self._asleep_since is None)

    async def _replace(self, group: asyncio.TaskGroup) -> None:
        dead = self._pool.dead()
        self._space_out([replica.node_id for replica in dead])
        if anyio.current_time() < self._not_before:
            return
        started: list[str] = []
        try:
            async with self._lock:
                nodes = await self._starts.missing(started, joined=True, pool=self._pool)
        except DeploymentStopped:
            raise
        except ConduitError as error:
            _log.warning("%s: a replica could not be replaced: %s", self._starts.label, error.message)
            self._wait_longer()
            return  # what was started before it failed is found by the next try
        for replica in self._pool.replicas:
            if replica.node_id not in nodes:
                self._pool.leave(replica)
        known = {replica.node_id for replica in self._pool.replicas} | self._joining
        for node_id in nodes.keys() - known:
            self._joining.add(node_id)
            group.create_task(self._join(node_id, node_id in started))
        await self._tell_when_whole()

    async def _join(self, node_id: str, ours: bool) -> None:
        """Waits until a new replica is ready and takes it into the pool."""
        began = anyio.current_time()
        try:
            with anyio.fail_after(self._starts.startup_timeout_s):
                replica = await self._ready(node_id)
            self._joining.discard(node_id)
            self._take_in(replica, anyio.current_time() - began)
            await self._tell_when_whole()
        except (ConduitError, TimeoutError) as error:
            said = error.message if isinstance(error, ConduitError) else "it was not ready in time"
            _log.warning("%s: replacement %s failed: %s", self._starts.label, node_id, said)
            self._joining.discard(node_id)
            self._wait_longer()
            if ours:
                await self._starts.give_back([node_id])
            self._stirred.set()

    async def _ready(self, node_id: str) -> Replica:
        while True:
            if (replica := await self._starts.ready(node_id)) is not None:
                return replica
            await anyio.sleep(_POLL_S)

    def _take_in(self, replica: Replica, after_s: float) -> None:
        self._joined_at[replica.node_id] = anyio.current_time()
        if replica not in self._pool.replicas:
            self._pool.join(replica)
            self._pool.replaced += 1
            _log.warning(
                "%s: replica %s took a lost one's place, ready after %.1f s",
                self._starts.label,
                replica.node_id,
                after_s,
            )

    async def _tell_when_whole(self) -> None:
        if not self._joining and len(self._pool.replicas) == self._pool.wanted:
            await self._starts.set_state(DeploymentState.READY)

    def _space_out(self, dead: list[str]) -> None:
        """Makes the next replacement wait when the ones before died soon."""
        now = anyio.current_time()
        for node_id in dead:
            if (joined_at := self._joined_at.pop(node_id, None)) is not None:
                if now - joined_at < _SHORT_LIFE_S:
                    self._wait_longer()
                else:
                    self._short_lives = 0

    def _wait_longer(self) -> None:
        wait_s = min(2.0**self._short_lives, _LONGEST_WAIT_S)
        self._short_lives += 1
        self._not_before = anyio.current_time() + wait_s
