"""The replicas of one deployment: how each is, what it has to do, and which one takes the next request.

No I/O, and no locks: a pool is used on one event loop only, that of the portal. Who wants to use it from elsewhere
hands its work over to the portal. Who sends requests takes a lease for each and says how it ended; probes say what
the replicas answer; supervision lets replicas join and leave.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal

import anyio

from conduit.lmlite.replicas.breaker import BreakerState
from conduit.lmlite.replicas.interruption import Deadlines
from conduit.lmlite.replicas.member import Lease, Member, Outcome, Replica
from conduit.lmlite.replicas.policies import Load, PolicyName, Routable, policy
from conduit.lmlite.replicas.states import Limits, ReplicaState, Vitals

__all__ = ["IN_USE_S", "Lease", "Outcome", "Pool", "Replica"]

_log = logging.getLogger(__name__)

IN_USE_S = 30.0
"""For how long after its last request a pool counts as used."""


class Pool:
    """Replicas, and the policy by which they get requests.

    Attributes:
        wanted: How many replicas there are to be.
        hedge_after_s: When a second replica is asked as well; ``None`` for never.
        by_prefix: Whether the policy looks at a request's ``prefix``.
        replaced: How many replicas were replaced so far.
        deadlines: Of the requests that are under way.
        look: Asks a replica how it is and returns whether it lives; set by the probes.
    """

    def __init__(
        self,
        replicas: Collection[Replica] = (),
        *,
        policy_name: PolicyName = "round_robin",
        hedge_after_s: float | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins with replicas that are ready.

        Args:
            replicas: Those.
            policy_name: Who gets the next request.
            hedge_after_s: As the attribute.
            limits: When a replica counts as dead.
            clock: Monotonic seconds.
        """
        self._clock, self._limits = clock, limits or Limits()
        self._policy = policy(policy_name)
        self._members: dict[str, Member] = {}
        self._places = 0
        self._used_at = clock()
        self._closed = False
        self._waiters: set[asyncio.Future[None]] = set()
        self._watchers: list[Callable[[], None]] = []
        self.wanted = len(replicas)
        self.by_prefix = policy_name == "prefix"
        self.hedge_after_s = hedge_after_s
        self.replaced = 0
        self.deadlines = Deadlines()
        self.look: Callable[[Replica], Awaitable[bool]] = self._believed
        for replica in replicas:
            self._add(replica)

    @property
    def limits(self) -> Limits:
        """When a replica counts as dead."""
        return self._limits

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All that are in it, whatever their state."""
        return tuple(member.replica for member in self._members.values())

    @property
    def closed(self) -> bool:
        """Whether it gives out no more leases, since its deployment ends."""
        return self._closed

    @property
    def outstanding(self) -> int:
        """Requests that are with replicas now."""
        return sum(len(member.leases) for member in self._members.values())

    def in_use(self) -> bool:
        """Whether requests are out, or were a short while ago."""
        return self._clock() - self._used_at < IN_USE_S or self.outstanding > 0

    @property
    def used_at(self) -> float:
        """When a request last began or ended, by the pool's clock."""
        return self._used_at

    def unused_s(self, replica: Replica) -> float:
        """For how long that replica has had no request."""
        member = self._members.get(replica.node_id)
        return 0.0 if member is None or member.leases else self._clock() - member.used_at

    def state(self, replica: Replica, model_id: str | None = None) -> ReplicaState:
        """How it is, as a whole or for one model; one that left is dead."""
        member = self._members.get(replica.node_id)
        return ReplicaState.DEAD if member is None else member.vitals.state(model_id)

    def states(self) -> dict[str, dict[str, ReplicaState]]:
        """For each node, the state of each model that is known of."""
        return {
            node_id: {name: member.vitals.state(name) for name in member.vitals.models}
            for node_id, member in self._members.items()
        }

    def breaker(self, replica: Replica) -> BreakerState:
        """Of that replica."""
        member = self._members.get(replica.node_id)
        return "closed" if member is None else member.breaker.state(self._clock())

    def takes(self, model_id: str) -> bool:
        """Whether some replica may take a request for that model now."""
        now = self._clock()
        return any(member.may_take(model_id, now) for member in self._members.values())

    def dead(self) -> list[Replica]:
        """Those that count as dead."""
        return [m.replica for m in self._members.values() if m.vitals.state() is ReplicaState.DEAD]

    def dead_s(self, replica: Replica) -> float:
        """For how long a dead one has been so."""
        member = self._members.get(replica.node_id)
        return 0.0 if member is None else self._clock() - member.died_at

    def lease(self, what: Routable, *, without: Collection[str] = ()) -> Lease | None:
        """The right to send a request to the replica whose turn it is; ``None`` when none can take it.

        Args:
            what: The request.
            without: Ids of nodes that are out for it.
        """
        if self._closed:
            return None
        now = self._clock()
        able, ready = [], []
        for node_id, member in self._members.items():
            state = member.vitals.state(what.model_id)
            if node_id not in without and state.takes_requests and member.breaker.lets_pass(now):
                able.append(member)
                if state is ReplicaState.READY:
                    ready.append(member)
        prompt = ready or able
        if not prompt:
            return None
        prompt = [m for m in prompt if not m.held_back(now, len(prompt))] or prompt
        load = self._policy.choose([member.load for member in prompt], what)
        member = self._members[load.node_id]
        lease = Lease(member, what)
        member.take(lease, now)
        was_used, self._used_at = self._used_at, now
        if now - was_used > 1 or len(self._members) < self.wanted:
            self._stir()
        return lease

    def progressed(self, replica: Replica, model_id: str | None = None) -> None:
        """Bytes of an answer came from it."""
        if (member := self._members.get(replica.node_id)) is not None:
            member.vitals.sign(self._clock(), model_id)

    def reported(
        self,
        replica: Replica,
        states: Mapping[str, str],
        progress: Mapping[str, int],
        *,
        draining: bool = False,
    ) -> None:
        """It said how it is; without states, what answered was no server of models."""

        def tell(vitals: Vitals) -> None:
            if states:
                vitals.reported(states, progress, self._clock(), draining=draining)
            else:
                vitals.unreadable(self._clock())

        self._change(replica, tell)
        self._wake()  # one model of several may be back

    def believed_alive(self, replica: Replica) -> None:
        """It cannot be asked: how it is, only requests tell."""
        self._change(replica, lambda vitals: vitals.alive(self._clock()))

    def refused(self, replica: Replica) -> None:
        """Nothing takes connections there."""
        self._change(replica, Vitals.refused)

    def unanswered(self, replica: Replica) -> None:
        """It did not say in time how it is."""
        self._change(replica, lambda vitals: vitals.unanswered(self._clock()))

    def stalled(self, replica: Replica) -> list[str]:
        """Its models that need a canary now."""
        member = self._members.get(replica.node_id)
        return [] if member is None else member.vitals.stalled(self._clock())

    def canary(
        self, replica: Replica, model_id: str, outcome: Literal["sent", "answered", "unanswered"]
    ) -> None:
        """What became of a request of one token."""
        now = self._clock()
        match outcome:
            case "sent":
                self._change(replica, lambda vitals: vitals.canary_sent(model_id, now))
            case "answered":
                self._change(replica, lambda vitals: vitals.canary_answered(model_id, now))
            case "unanswered":
                self._change(replica, lambda vitals: vitals.canary_unanswered(model_id, now))

    def join(self, replica: Replica) -> None:
        """A replica that is ready; known already, it stays as it is. Its share grows from little."""
        if replica.node_id not in self._members:
            self._add(replica).recovered_at = self._clock()
            self._wake()

    def leave(self, replica: Replica) -> None:
        """It is no longer there; requests on it are taken away."""
        if (member := self._members.pop(replica.node_id, None)) is not None:
            member.vitals.refused()
            self._policy.forget(replica.node_id)
            self._take_away(member)
            self._wake()

    async def close(self, limit_s: float) -> None:
        """Gives out no more leases, and waits until those that are out have ended, for so long at most."""
        self._closed = True
        self._wake()
        with anyio.move_on_after(limit_s):
            while self.outstanding:
                await self.change(limit_s)

    async def change(self, limit_s: float) -> None:
        """Waits until a replica may have become able to take a request, for so long at most."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            with anyio.move_on_after(limit_s):
                await waiter
        finally:
            self._waiters.discard(waiter)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Has ``watcher`` called when use begins again or a replica turned dead; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _add(self, replica: Replica) -> Member:
        now = self._clock()
        member = Member(
            replica,
            Load(replica.node_id, self._places),
            Vitals(now, ready=True, limits=self._limits),
            self._ended,
            used_at=now,
        )
        self._places += 1
        self._members[replica.node_id] = member
        return member

    def _ended(self, lease: Lease, outcome: Outcome) -> None:
        self._used_at = now = self._clock()
        what = lease.what
        if lease.member.give_back(lease, outcome, now):
            self._wake()

        def tell(vitals: Vitals) -> None:
            if outcome == "answered":
                vitals.sign(now, what.model_id)
            elif outcome == "turned_away":
                vitals.alive(now)
            elif outcome == "refused":
                vitals.refused()
            vitals.ended(what.model_id, now)

        self._change(lease.replica, tell)
        if self._closed:
            self._wake()

    def _change(self, replica: Replica, tell: Callable[[Vitals], None]) -> None:
        """Tells the replica's vitals something and does what follows from it."""
        member = self._members.get(replica.node_id)
        if member is None:
            return
        before = member.vitals.state()
        tell(member.vitals)
        if (after := member.vitals.state()) is before:
            return
        why = f": {member.vitals.reason}" if member.vitals.reason else ""
        level = logging.WARNING if after is ReplicaState.DEAD else logging.INFO
        _log.log(level, "replica %s is %s%s", replica.node_id, after.value, why)
        if after is ReplicaState.DEAD:
            member.died_at = self._clock()
            self._take_away(member)
            self._stir()
            self._wake()
        elif before is ReplicaState.DEAD:
            member.recovered_at = self._clock()
        if after.takes_requests:
            self._wake()

    def _take_away(self, member: Member) -> None:
        for lease in member.leases:
            if lease.scope is not None:
                lease.scope.cancel()

    def _stir(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _believed(self, replica: Replica) -> bool:
        return self.state(replica) is not ReplicaState.DEAD
