"""One call's request on its way to a replica and back: what of it decides the way, and its pieces handed out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.failover import Journey
from conduit.lmlite.replicas.hedging import claim
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.request import LMReply, LMRequest

Emit = Callable[[str], Awaitable[None]]
"""Takes a piece of a streamed answer; nothing more is read until it returns."""

_CHARS_PER_TOKEN = 4
_USUAL_TOKENS = 256


def dispatch(
    pool: Pool,
    client: Client,
    request: LMRequest,
    *,
    timeout_s: float,
    emit: Emit | None = None,
    sent: Callable[[float], None] | None = None,
) -> Awaitable[LMReply]:
    """Sends the request until one replica has answered it.

    Args:
        pool: The replicas.
        client: The connections to them.
        request: What to send.
        timeout_s: Deadline, waiting for a busy replica included.
        emit: Takes the pieces of a streamed answer; once it was called, the request is not sent again.
        sent: Takes what each attempt has cost, in USD, once it has ended.

    Raises:
        RequestTimeout: No answer within ``timeout_s``.
        Overloaded: All queues are full and stay so beyond the deadline.
        ReplicaLost: A replica was lost in mid-answer and no other is left, or text had been handed out already.
        NoReplica: None takes connections; the request has not been worked on.
        ModelError: A replica refused the request for good.
    """
    return Journey(
        pool,
        routable(request, with_prefix=pool.by_prefix),
        _Sending(pool, client, request, emit),
        deadline=time.monotonic() + timeout_s,
        hedge_after_s=pool.hedge_after_s,
        sent=sent,
    ).run()


class _Sending:
    """One request's attempts, and whether one of them has handed anything out."""

    __slots__ = ("_client", "_emit", "_handed_out", "_pool", "_request")

    def __init__(self, pool: Pool, client: Client, request: LMRequest, emit: Emit | None) -> None:
        self._pool, self._client, self._request, self._emit = pool, client, request, emit
        self._handed_out = False

    def begun(self) -> bool:
        return self._handed_out

    def attempt(self, replica: Replica) -> Awaitable[LMReply]:
        if self._emit is None:
            return self._client.complete(replica, self._request)
        hand_out = partial(self._hand_out, replica, self._emit)
        return self._client.stream(replica, self._request, hand_out)

    async def _hand_out(self, replica: Replica, emit: Emit, text: str) -> None:
        await claim()
        self._handed_out = True
        self._pool.progressed(replica, self._request.model_id)
        await emit(text)


def routable(request: LMRequest, *, with_prefix: bool) -> Routable:
    """What of a request decides where it goes.

    Args:
        request: The request.
        with_prefix: Also its static beginning: the system message, or what a conversation began with.
    """
    texts = [str(message.get("content") or "") for message in request.messages]
    tokens = sum(map(len, texts)) // _CHARS_PER_TOKEN + (request.sampling.max_tokens or _USUAL_TOKENS)
    prefix = texts[0] if with_prefix and len(texts) > 1 else ""
    return Routable(request.model_id, prefix.encode(errors="replace"), tokens)
