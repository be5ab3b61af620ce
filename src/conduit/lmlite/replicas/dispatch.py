"""One request to whichever replica can take it: round robin, another one when one is lost, waiting when busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

import anyio

from conduit.errors import ModelError, NoReplica, Overloaded, ReplicaLost, RequestTimeout
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.pool import RECHECK_S, Pool, Replica
from conduit.lmlite.request import LMReply, LMRequest

Emit = Callable[[str], None]


_rechecks: set[asyncio.Task[bool]] = set()  # the loop itself keeps only weak references to tasks


async def dispatch(
    pool: Pool, client: Client, request: LMRequest, *, timeout_s: float, emit: Emit | None = None
) -> LMReply:
    """Sends the request until one replica has answered it.

    Args:
        pool: The replicas.
        client: The connections to them.
        request: What to send.
        timeout_s: Deadline, waiting for a busy replica included.
        emit: Takes the pieces of a streamed answer; once it was called, the request is not sent again.

    Raises:
        RequestTimeout: No answer within ``timeout_s``.
        Overloaded: All queues are full and stay so beyond the deadline.
        ReplicaLost: A replica was lost in mid-answer and no other is left, or text had been handed out already.
        NoReplica: None takes connections; the request has not been worked on.
        ModelError: A replica refused the request for good.
    """
    try:
        with anyio.fail_after(timeout_s):
            return await _Dispatch(pool, client, request, time.monotonic() + timeout_s, emit).run()
    except TimeoutError:
        raise RequestTimeout(
            f"No answer for {request.model_id} within {timeout_s:g} s.",
            hint="Give timeout_s=..., lower max_tokens, or set CONDUIT_REQUEST_TIMEOUT_S.",
            model_id=request.model_id,
            timeout_s=timeout_s,
        ) from None


class _Dispatch:
    """The state of one request on its way."""

    def __init__(
        self, pool: Pool, client: Client, request: LMRequest, deadline: float, emit: Emit | None
    ) -> None:
        self._pool, self._client, self._request, self._deadline = pool, client, request, deadline
        self._emit = emit
        self._handed_out = False
        self._attempts = 0
        self._failed: dict[str, ModelError] = {}  # replicas that are out for this request, and why
        self._busy: dict[str, NoReplica | Overloaded] = {}  # those to be asked again after a while
        self._stale: set[str] = set()  # those whose connection broke although they live

    async def run(self) -> LMReply:
        if self._pool.aside(before=time.monotonic() - RECHECK_S):
            # Beside the request, not before it: a replica that hangs must not hold up what others can answer.
            task = asyncio.create_task(
                _recheck(self._pool, self._client, before=time.monotonic() - RECHECK_S)
            )
            _rechecks.add(task)
            task.add_done_callback(_rechecks.discard)
        while True:
            replica = self._pool.pick(without={*self._failed, *self._busy})
            if replica is None:
                await self._wait_or_give_up()
                continue
            self._attempts += 1
            try:
                reply = await self._send(replica)
            except Overloaded as error:
                self._busy[replica.node_id] = error
            except NoReplica as error:
                if error.retry_after_s is None:
                    self._pool.set_aside(replica, time.monotonic())
                    self._failed[replica.node_id] = error
                else:
                    self._busy[replica.node_id] = error
            except ReplicaLost as error:
                await self._lost(replica, error)
            else:
                return reply if self._attempts == 1 else _with_attempts(reply, self._attempts)

    async def _send(self, replica: Replica) -> LMReply:
        if self._emit is None:
            return await self._client.complete(replica, self._request)
        return await self._client.stream(replica, self._request, self._hand_out)

    def _hand_out(self, text: str) -> None:
        self._handed_out = True
        assert self._emit is not None
        self._emit(text)

    async def _lost(self, replica: Replica, error: ReplicaLost) -> None:
        # A broken connection may only have been an idle one that the server was about to close.
        lives = (await self._client.readiness(replica)).reachable
        if not lives:
            self._pool.set_aside(replica, time.monotonic())
        if self._handed_out:
            raise error
        if lives and replica.node_id not in self._stale:
            self._stale.add(replica.node_id)
        else:
            self._failed[replica.node_id] = error

    async def _wait_or_give_up(self) -> None:
        if self._busy:
            wait_s = min(error.retry_after_s or 0.05 for error in self._busy.values())
            if time.monotonic() + wait_s > self._deadline:
                raise next(iter(self._busy.values()))
            await anyio.sleep(wait_s)
            self._busy.clear()
            return
        if await _recheck(self._pool, self._client, without=self._failed):
            return
        lost = next((e for e in self._failed.values() if isinstance(e, ReplicaLost)), None)
        if lost is not None:
            raise ReplicaLost(
                f"{lost.message} No other replica is left of {len(self._pool.replicas)}.",
                hint=f"{lost.hint} lm.up() starts the missing replicas.",
                model_id=lost.model_id,
                replica=lost.replica,
            ) from lost
        raise NoReplica(
            f"None of the {len(self._pool.replicas)} replicas takes connections.",
            hint="lm.health() tells each replica's state; lm.up() starts the missing ones.",
            model_id=self._request.model_id,
        )


async def _recheck(
    pool: Pool, client: Client, *, before: float | None = None, without: Collection[str] = ()
) -> bool:
    """Puts back the replicas that were set aside and are ready again; whether there was one."""
    found = False
    for replica in pool.aside(before=before):
        if replica.node_id in without:
            continue
        pool.set_aside(replica, time.monotonic())  # so that other requests do not ask it, too
        if (await client.readiness(replica)).ready:
            pool.put_back(replica)
            found = True
    return found


def _with_attempts(reply: LMReply, attempts: int) -> LMReply:
    return LMReply(**{**vars(reply), "attempts": attempts})
