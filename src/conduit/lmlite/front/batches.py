"""Batches of requests (``/v1/batch``): each stays with the replica that took it, by its id.

The replica keeps the rows and their results. The front remembers which one it was; where it does not know an id (it
was started anew, say) it asks all replicas. A batch whose replica is gone is gone: sent again under the same id, it
begins anew elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

from conduit.errors import ConduitError
from conduit.lmlite.front.refusals import Refusal, Refused, refusal_of
from conduit.lmlite.front.relay import Backend, copy, passed_on, separator_of
from conduit.lmlite.front.reply import Reply
from conduit.lmlite.replicas.answer import Answer, ConnectionProblem, header, whole
from conduit.lmlite.replicas.client import problem_with
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import ReplicaState

_REMEMBERED = 10_000


class Batches:
    """Forwards requests that belong to batches."""

    def __init__(self, backend: Backend, model_id: str) -> None:
        self._backend, self._model_id = backend, model_id
        self._homes: OrderedDict[str, str] = OrderedDict()

    async def submit(
        self, path: str, headers: Mapping[str, str], batch_id: str, rows: AsyncIterator[bytes], reply: Reply
    ) -> None:
        """Sends the rows to the batch's replica, and hands the results on as they come.

        Raises:
            Refused: There is no replica for it.
        """
        with _refused():
            pool = await self._backend.pool()
            replica = self._home(pool, batch_id)
            self._remember(batch_id, replica)
            await self._hand_on(pool, replica, "POST", path, {**headers, "x-batch-id": batch_id}, rows, reply)

    async def follow(
        self, method: str, path: str, headers: Mapping[str, str], batch_id: str, reply: Reply
    ) -> None:
        """Forwards what concerns a batch that was sent before: its results, its state, its end.

        Raises:
            Refused: No replica knows it.
        """
        with _refused():
            pool = await self._backend.pool()
            first = self._home(pool, batch_id)
            candidates = [first, *(r for r in pool.replicas if r != first)]
            if batch_id in self._homes:
                candidates = [first]
            for replica in candidates[:-1]:
                if await self._hand_on(pool, replica, method, path, headers, b"", reply, unless=404):
                    self._remember(batch_id, replica)
                    return
            await self._hand_on(pool, candidates[-1], method, path, headers, b"", reply)
            if reply.status != 404:
                self._remember(batch_id, candidates[-1])

    async def _hand_on(
        self,
        pool: Pool,
        replica: Replica,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes],
        reply: Reply,
        *,
        unless: int = 0,
    ) -> bool:
        """Whether the answer was handed on: not if its status is ``unless``."""
        try:
            answer = await self._backend.transport.send(replica, method, path, headers, body)
            try:
                if answer.status == unless:
                    await whole(answer)
                    return False
                await self._answer(pool, replica, answer, reply)
                return True
            finally:
                answer.close()
        except ConnectionProblem as problem:
            raise problem_with(replica, self._model_id, problem) from problem

    async def _answer(self, pool: Pool, replica: Replica, answer: Answer, reply: Reply) -> None:
        separator = separator_of(header(answer, b"content-type"))
        if separator is None:
            content = await whole(answer)
            await reply.whole(answer.status, passed_on(answer), content)
        else:
            await reply.start(answer.status, passed_on(answer))
            await copy(answer, await answer.piece(), separator, reply, lambda: pool.progressed(replica))

    def _home(self, pool: Pool, batch_id: str) -> Replica:
        able = [replica for replica in pool.replicas if pool.state(replica) is not ReplicaState.DEAD]
        if not able:
            raise Refused(Refusal(503, "No replica can take requests now.", "model_not_ready", 1.0))
        known = self._homes.get(batch_id)
        for replica in able:
            if replica.node_id == known:
                return replica
        if known is not None:
            del self._homes[batch_id]
        # The same replica for the same id, as long as the replicas are the same.
        return max(able, key=lambda r: hashlib.sha256(f"{r.node_id}/{batch_id}".encode()).digest())

    def _remember(self, batch_id: str, replica: Replica) -> None:
        self._homes[batch_id] = replica.node_id
        self._homes.move_to_end(batch_id)
        if len(self._homes) > _REMEMBERED:
            self._homes.popitem(last=False)


@contextmanager
def _refused() -> Iterator[None]:
    """Turns the errors of a deployment into refusals."""
    try:
        yield
    except ConduitError as error:
        raise Refused(refusal_of(error)) from error
