"""One request forwarded: to whichever replica takes it, and its answer back, byte for byte.

Bytes are not understood here, except where one event of a stream ends and the next begins: events are handed on
whole, so that a replica that is lost in mid-stream leaves room for an event that says so. Such a stream then ends
without ``[DONE]`` and without the end of its body.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from conduit.errors import ConduitError, NoReplica, Overloaded
from conduit.lmlite.front.refusals import Refused, refusal_of
from conduit.lmlite.front.reply import Reply
from conduit.lmlite.replicas.answer import Answer, ConnectionBroken, ConnectionProblem, Header, header, whole
from conduit.lmlite.replicas.client import problem_with
from conduit.lmlite.replicas.connections import Transport
from conduit.lmlite.replicas.failover import Journey
from conduit.lmlite.replicas.hedging import claim
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.refusals import by_proxy, refusal

_PASSED_ON = frozenset(
    {b"content-type", b"retry-after", b"cache-control", b"x-batch-id", b"x-accel-buffering"}
)
_EVENTS = "text/event-stream"
_DONE = b"data: [DONE]\n\n"
_LONGEST_EVENT = 4 * 1024 * 1024
_LEAST_RETRY_S, _BEYOND_ALL_DEADLINES_S = 1.0, 1e9

_SEPARATORS = {_EVENTS: b"\n\n", "application/x-ndjson": b"\n", "application/jsonl": b"\n"}


class Backend(Protocol):
    """The replicas as they are now; they may be others at the next request.

    Attributes:
        transport: The connections to them.
    """

    transport: Transport

    async def pool(self) -> Pool:
        """The ready replicas, brought up if need be."""
        ...

    async def pool_after(self, seen: Pool) -> Pool:
        """The ready replicas, once the pool that was seen proved dead."""
        ...


class Relay:
    """Forwards requests."""

    def __init__(self, backend: Backend, timeout_s: float) -> None:
        self._backend, self._timeout_s = backend, timeout_s

    async def forward(
        self, path: str, headers: Mapping[str, str], body: bytes, what: Routable, reply: Reply
    ) -> None:
        """Sends the request until one replica answers it, and hands its answer on.

        Raises:
            Refused: No replica answered; nothing was handed on.
        """
        deadline = time.monotonic() + self._timeout_s
        passage = _Passage(self._backend.transport, path, headers, body, what, reply)
        try:
            pool = await self._backend.pool()
            try:
                await self._through(pool, passage, deadline)
            except NoReplica as error:
                if error.retry_after_s is not None or reply.status:
                    raise
                # All have gone, most likely by their idle limit, and none has worked on it: they start again.
                await self._through(await self._backend.pool_after(pool), passage, deadline)
        except ConduitError as error:
            if not reply.status:
                refused = refusal_of(error)
                if isinstance(error, Overloaded):
                    refused = replace(refused, retry_after_s=passage.full_s)
                raise Refused(refused) from error
            await reply.break_off(refusal_of(error), events=passage.events)

    async def _through(self, pool: Pool, passage: _Passage, deadline: float) -> None:
        passage.pool = pool
        await Journey(
            pool,
            passage.what,
            passage,
            deadline=deadline,
            hedge_after_s=pool.hedge_after_s,
        ).run()


class _Passage:
    """One request and its answer on their way.

    Attributes:
        events: The answer is a stream of events.
        full_s: When the first of the full replicas wants to be asked again.
    """

    pool: Pool

    def __init__(
        self,
        transport: Transport,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        what: Routable,
        reply: Reply,
    ) -> None:
        self._transport, self._path, self._headers, self._body = transport, path, headers, body
        self.what, self._reply = what, reply
        self.events = False
        self.full_s = _BEYOND_ALL_DEADLINES_S

    def begun(self) -> bool:
        return self._reply.status != 0

    async def attempt(self, replica: Replica) -> None:
        try:
            answer = await self._transport.send(replica, "POST", self._path, self._headers, self._body)
            try:
                separator = separator_of(header(answer, b"content-type"))
                if separator is None or answer.status != 200:
                    content = await whole(answer)
                    self._check(answer, content, replica)
                    await claim()
                    await self._reply.whole(answer.status, passed_on(answer), content)
                    return
                await self._stream(answer, separator, replica)
            finally:
                answer.close()
        except ConnectionProblem as problem:
            raise problem_with(replica, self.what.model_id, problem) from problem

    async def _stream(self, answer: Answer, separator: bytes, replica: Replica) -> None:
        piece = await answer.piece()  # before anything is handed on: a replica lost until here is no loss
        await claim()
        self.events = separator == b"\n\n"
        await self._reply.start(answer.status, passed_on(answer))
        await copy(
            answer, piece, separator, self._reply, lambda: self.pool.progressed(replica, self.what.model_id)
        )

    def _check(self, answer: Answer, content: bytes, replica: Replica) -> None:
        """Raises what concerns the replica and not the caller, so that another one is asked."""
        if answer.status not in (401, 403, 429, 503) and not by_proxy(answer.status, content):
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        error = refusal(answer.status, content, headers, model_id=self.what.model_id, replica=replica.node_id)
        if isinstance(error, Overloaded):
            # A caller of the front is told at once when all are full, and waits by itself.
            self.full_s = min(self.full_s, error.retry_after_s or _LEAST_RETRY_S)
            error.retry_after_s = _BEYOND_ALL_DEADLINES_S
        raise error


async def copy(
    answer: Answer, piece: bytes, separator: bytes, reply: Reply, progressed: Callable[[], None]
) -> None:
    """Hands on the rest of a body, event by event, and its end.

    Raises:
        ConnectionBroken: It was cut; no part of an event was handed on.
    """
    rest, done = b"", False
    while piece:
        progressed()
        if not piece.endswith(separator) or rest:
            piece = rest + piece
            cut = piece.rfind(separator) + len(separator)
            if cut < len(separator):
                cut = len(piece) if len(piece) > _LONGEST_EVENT else 0
            piece, rest = piece[:cut], piece[cut:]
        if piece:
            await reply.body(piece, more=True)
            done = piece.endswith(_DONE)
        try:
            piece = await answer.piece()
        except ConnectionBroken:
            if not done:
                raise
            rest = b""
            break  # nothing that counts was to come
    if rest:
        await reply.body(rest, more=True)
    await reply.body(b"", more=False)


def separator_of(content_type: str | None) -> bytes | None:
    """What ends an event, or a line, of a stream of that type; ``None`` where it is no stream."""
    return _SEPARATORS.get((content_type or "").partition(";")[0].strip())


def passed_on(answer: Answer) -> list[Header]:
    """The headers that concern the caller."""
    return [entry for entry in answer.headers if entry[0] in _PASSED_ON]
