"""Asks the replicas of one pool how they are, while the pool is in use. Decides nothing: the pool's states do.

Each replica is asked about every second, by itself and with a deadline, so that one that hangs holds up no other.
Where requests wait on a replica that shows no work, it sends a canary: a request of one token, whose answer tells
a busy engine from a dead one.
"""

from __future__ import annotations

import asyncio
import random
import time

import anyio

from conduit.errors import ConduitError, NoReplica, ReplicaLost
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState
from conduit.lmlite.request import LMRequest, Sampling

_INTERVAL_S = 1.0
_DEADLINE_S = 1.5
_OWN_DELAY_S = 0.5  # when a deadline passes that much late, it is this process that was held up


class Probes:
    """The questions to the replicas of one pool."""

    def __init__(self, pool: Pool, client: Client, *, interval_s: float = _INTERVAL_S) -> None:
        """From now on ``pool.look`` asks.

        Args:
            pool: Whose replicas.
            client: The connections to them.
            interval_s: How often each is asked.
        """
        self._pool, self._client, self._interval_s = pool, client, interval_s
        self._asking: dict[str, asyncio.Task[bool]] = {}
        self._rounds: set[str] = set()
        pool.look = self.look

    async def look(self, replica: Replica) -> bool:
        """Asks the replica now; many who want to know at the same time share one question.

        Returns:
            Whether it answered in time. An elastic one is not asked, and believed to live.
        """
        task = self._asking.get(replica.node_id)
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._asking[replica.node_id] = asyncio.create_task(self._ask(replica))
            task.add_done_callback(lambda done: self._forget(replica, done))
        # Shielded: one who no longer wants to know must not take the answer from the others.
        return await asyncio.shield(task)

    async def run(self) -> None:
        """Asks for as long as the pool is in use, and sleeps until it is used again."""
        stirred = asyncio.Event()
        unwatch = self._pool.watch(stirred.set)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    if not self._pool.in_use():
                        await stirred.wait()
                    stirred.clear()
                    for replica in self._pool.replicas:
                        if replica.node_id not in self._rounds and not replica.elastic:
                            self._rounds.add(replica.node_id)
                            group.create_task(self._round(replica, group))
                    with anyio.move_on_after(self._interval_s * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads
                        await stirred.wait()
                    await anyio.sleep(self._interval_s / 10)  # many stirs at once make one round
        finally:
            unwatch()

    async def _round(self, replica: Replica, group: asyncio.TaskGroup) -> None:
        try:
            # One that did not answer is asked again at once, so that it is soon known whether it is dead.
            while not await self.look(replica):
                if self._pool.state(replica) is not ReplicaState.BUSY:
                    break
                await anyio.sleep(self._interval_s / 10)
        finally:
            self._rounds.discard(replica.node_id)
        for model_id in self._pool.stalled(replica):
            self._pool.canary(replica, model_id, "sent")
            group.create_task(self._canary(replica, model_id))

    async def _ask(self, replica: Replica) -> bool:
        if replica.elastic:
            self._pool.believed_alive(replica)
            return True
        began = time.monotonic()
        said = None
        with anyio.move_on_after(_DEADLINE_S):
            said = await self._client.readiness(replica)
        if said is not None and said.reachable and not said.absent:
            self._pool.reported(replica, said.models, said.progress, draining=said.draining)
            return True
        if said is not None and said.unknown:
            return False
        if said is not None and said.refused:
            self._pool.refused(replica)
        elif time.monotonic() - began < _DEADLINE_S + _OWN_DELAY_S:
            self._pool.unanswered(replica)
        return False

    def _forget(self, replica: Replica, done: asyncio.Task[bool]) -> None:
        if self._asking.get(replica.node_id) is done:
            del self._asking[replica.node_id]
        if not done.cancelled():
            done.exception()  # told to whoever waits; if nobody does any more, to nobody

    async def _canary(self, replica: Replica, model_id: str) -> None:
        request = LMRequest(
            model_id,
            ({"role": "user", "content": "Hi"},),
            sampling=Sampling(max_tokens=1),
            request_id=f"canary-{replica.node_id}",
        )
        try:
            with anyio.fail_after(self._pool.limits.canary_s):
                await self._client.complete(replica, request)
        except (TimeoutError, ReplicaLost):
            self._pool.canary(replica, model_id, "unanswered")
        except NoReplica as error:
            self._pool.canary(replica, model_id, "unanswered" if error.retry_after_s is None else "answered")
        except ConduitError:
            self._pool.canary(replica, model_id, "answered")  # a refusal is an answer
        else:
            self._pool.canary(replica, model_id, "answered")
