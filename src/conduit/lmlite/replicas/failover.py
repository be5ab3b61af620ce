"""One request to whichever replica can take it: another one when one is lost, waiting when all are busy.

What is sent, and how, is the caller's: this is the way of a typed call and of a byte-for-byte forwarded request
alike. Nothing is sent again once a part of its answer was handed out.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from conduit.errors import ConduitError, ModelError, NoReplica, Overloaded, ReplicaLost, RequestTimeout
from conduit.lmlite.replicas.hedging import Race
from conduit.lmlite.replicas.interruption import Interruption
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Lease, Outcome, Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_LONGEST_PAUSE_S = 0.25  # between looks at what has changed
_SPREAD = 0.2  # of a Retry-After, so that not all who were told the same come back at once
_DEFAULT_RETRY_S = 0.05


class Sender(Protocol[R_co]):
    """What is sent, and how."""

    def attempt(self, replica: Replica, /) -> Awaitable[R_co]:
        """Sends it to a replica; is cancelled when that turns dead.

        Before it hands anything out it awaits ``hedging.claim``.
        """
        ...

    def begun(self) -> bool:
        """Whether a part of an answer was handed out; then it is not sent again."""
        ...


class Journey(Generic[R]):
    """One request on its way to a replica that answers it.

    Args:
        pool: The replicas.
        what: By which the replica is chosen.
        sender: Sends it.
        deadline: In seconds of ``time.monotonic``; waiting for a busy replica counts.
        hedge_after_s: Ask a second replica as well when no answer has begun by then.
        sent: Takes what each attempt has cost, in USD, once it has ended, however it did.
    """

    _stale: frozenset[str] = frozenset()  # replicas whose connection broke although they live

    def __init__(
        self,
        pool: Pool,
        what: Routable,
        sender: Sender[R],
        *,
        deadline: float | None,
        hedge_after_s: float | None = None,
        sent: Callable[[float], None] | None = None,
    ) -> None:
        self._pool, self._what, self._sender = pool, what, sender
        self._deadline = math.inf if deadline is None else deadline
        self._hedge_after_s, self._sent = hedge_after_s, sent
        self._out: dict[str, ModelError] = {}  # replicas that are out for this request, and why
        self._later: dict[str, tuple[float, NoReplica | Overloaded]] = {}  # when to ask them again, and why

    async def run(self) -> R:
        """Tries until one replica has answered.

        Raises:
            RequestTimeout: No answer by the deadline.
            Overloaded: All queues are full and stay so beyond the deadline.
            ReplicaLost: A replica was lost in mid-answer and no other is left, or something had been handed out.
            NoReplica: None takes connections; the request has not been worked on.
            ModelError: A replica refused the request for good.
        """
        began, late = time.monotonic(), Interruption()
        self._pool.deadlines.watch(self._deadline, late)
        try:
            while True:
                lease = self._pool.lease(self._what, without=self._excluded())
                if lease is None:
                    await self._wait_or_give_up()
                elif self._hedge_after_s is None:
                    try:
                        return await self._on(lease)
                    except ConduitError as error:
                        await self._note(lease.replica, error)
                else:
                    race = await self._race(lease, self._hedge_after_s)
                    if race.results:
                        return race.results[0]
        except asyncio.CancelledError:
            if not late.alone:
                raise
        finally:
            self._pool.deadlines.forget(self._deadline, late)
            late.over()
        left_s = round(self._deadline - began, 3)
        raise RequestTimeout(
            f"No answer for {self._what.model_id} within {left_s:g} s.",
            hint="Give timeout_s=..., lower max_tokens, or set CONDUIT_REQUEST_TIMEOUT_S.",
            model_id=self._what.model_id,
            timeout_s=left_s,
        )

    async def _race(self, lease: Lease, after_s: float) -> Race[R]:
        failed: list[tuple[Replica, ConduitError]] = []

        async def on(taken: Lease) -> R:
            try:
                return await self._on(taken)
            except ConduitError as error:
                failed.append((taken.replica, error))
                raise

        def second() -> Callable[[], Awaitable[R]] | None:
            other = self._pool.lease(self._what, without={*self._excluded(), lease.replica.node_id})
            return None if other is None else partial(on, other)

        race = Race[R]()
        await race.run(partial(on, lease), second, after_s=after_s)
        if not race.results:
            for replica, error in failed:
                await self._note(replica, error)
        return race

    async def _on(self, lease: Lease) -> R:
        """One attempt; its lease is given back with what became of it."""
        lease.scope = taking = Interruption()
        outcome: Outcome = "left"
        try:
            result = await self._sender.attempt(lease.replica)
            outcome = "answered"
        except asyncio.CancelledError:
            if not taking.alone:
                raise
            outcome = "broke"
            raise ReplicaLost(
                f"Replica {lease.replica.node_id} died while it answered for {self._what.model_id}.",
                hint=f"Its log: {lease.replica.log}.",
                model_id=self._what.model_id,
                replica=lease.replica.node_id,
            ) from None
        except ConduitError as error:
            outcome = _outcome(error)
            raise
        finally:
            lease.scope = None
            taking.over()
            lease.end(outcome)
            if self._sent is not None:
                self._sent(lease.cost_usd)
        return result

    async def _note(self, replica: Replica, error: ConduitError) -> None:
        """Remembers why a replica did not answer; raises what ends the request."""
        if isinstance(error, ReplicaLost):
            # A broken connection may only have been an idle one that the server was about to close.
            dead = self._pool.state(replica) is ReplicaState.DEAD
            lives = not dead and await self._pool.look(replica)
            if self._sender.begun():
                raise error
            if lives and replica.node_id not in self._stale:
                self._stale |= {replica.node_id}
            else:
                self._out[replica.node_id] = error
        elif isinstance(error, NoReplica | Overloaded) and not self._sender.begun():
            if isinstance(error, NoReplica) and error.retry_after_s is None:
                self._out[replica.node_id] = error
            else:
                wait_s = error.retry_after_s or _DEFAULT_RETRY_S
                spread_s = wait_s * random.uniform(0, _SPREAD)  # noqa: S311 - to come back at different times
                fits = time.monotonic() + wait_s + spread_s < self._deadline
                self._later[replica.node_id] = time.monotonic() + wait_s + (spread_s if fits else 0), error
        else:
            raise error

    def _excluded(self) -> set[str]:
        now = time.monotonic()
        return {*self._out, *(node_id for node_id, (at, _) in self._later.items() if at > now)}

    async def _wait_or_give_up(self) -> None:
        hopeful = [] if self._pool.closed else [r for r in self._pool.replicas if r.node_id not in self._out]
        alive = [r for r in hopeful if self._pool.state(r, self._what.model_id) is not ReplicaState.DEAD]
        if alive:
            pause_s = _LONGEST_PAUSE_S
            busy = [self._later[r.node_id] for r in alive if r.node_id in self._later]
            if len(busy) == len(alive):
                again_at, error = min(busy, key=lambda entry: entry[0])
                if again_at > self._deadline:
                    raise error
                pause_s = min(pause_s, max(0.0, again_at - time.monotonic()))
            await self._pool.change(pause_s)
            return
        if await self._revived(hopeful):
            return
        self._give_up()

    async def _revived(self, dead: list[Replica]) -> bool:
        """Whether one that counted as dead answers."""
        await asyncio.gather(*(self._pool.look(replica) for replica in dead))
        return any(self._pool.state(r, self._what.model_id) is not ReplicaState.DEAD for r in dead)

    def _give_up(self) -> None:
        lost = next((e for e in self._out.values() if isinstance(e, ReplicaLost)), None)
        if lost is not None:
            raise ReplicaLost(
                f"{lost.message} No other replica is left of {self._pool.wanted}.",
                hint=f"{lost.hint} lm.up() starts the missing replicas.",
                model_id=lost.model_id,
                replica=lost.replica,
            ) from lost
        raise NoReplica(
            f"None of the {self._pool.wanted} replicas takes connections.",
            hint="lm.health() tells each replica's state; lm.up() starts the missing ones.",
            model_id=self._what.model_id,
        )


def _outcome(error: ConduitError) -> Outcome:
    match error:
        case ReplicaLost():
            return "broke"
        case NoReplica(retry_after_s=None):
            return "refused"
    return "turned_away"
