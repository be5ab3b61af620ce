"""The LMLite resource: calls of its models, each in a synchronous and an ``async`` form, on top of its life cycle.

Nothing is decided here: every method hands over to ``calling`` on the portal's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

from conduit import mdl
from conduit.lmlite.arguments import SamplingOptions, call_prompt, chat_request, sampling, value_request
from conduit.lmlite.batch import Errors, run_batch
from conduit.lmlite.life_cycle import LifeCycle
from conduit.lmlite.portal import portal
from conduit.lmlite.request import LMRequest, Message

T = TypeVar("T")


class LMLiteResource(LifeCycle):
    """Open language models behind one object.

    It starts at ``up()``, at ``with``, or at its first call; a deployment of the same configuration that runs
    already, in whichever process it was started, is used. Safe in threads.
    """

    @overload
    def __call__(
        self,
        *,
        output: type[T],
        model_id: str | None = None,
        messages: None = None,
        system_message: None = None,
        input: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T: ...
    @overload
    def __call__(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str: ...
    def __call__(self, **arguments: Any) -> Any:
        """Calls a model and waits: text for ``messages``, a value for ``output``.

        Args:
            **arguments: As of ``acall``.
        """
        return self._wait(self._call, arguments)

    @overload
    async def acall(
        self,
        *,
        output: type[T],
        model_id: str | None = None,
        messages: None = None,
        system_message: None = None,
        input: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T: ...
    @overload
    async def acall(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str: ...
    async def acall(self, **arguments: Any) -> Any:
        """Calls a model: text for ``messages``, a value for ``output``.

        Args:
            **arguments: ``model_id`` (may be left out when there is one model); either ``messages`` and
                ``system_message``, or ``input`` (a typed value), ``output`` (a type) and ``guidance`` (what to
                do); ``timeout_s`` for the answer once the deployment is up; ``temperature`` (0), ``max_tokens``,
                ``stop``, ``seed``, ``top_p``.

        Raises:
            ArgumentInvalid: The arguments make no call.
            OutputInvalid: The answers did not fit ``output``, the retries' neither.
            OutputTruncated: The token limit cut the typed answer.
            ModelError: The model could not be asked, or refused.
        """
        return await self._await(self._call, arguments)

    async def _call(self, arguments: Mapping[str, Any]) -> Any:
        return await self._called(**arguments)

    async def _called(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        input: Any = None,
        output: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Any:
        model, drawn = self.model_id_of(model_id), sampling(**options)
        if output is None and input is None and guidance is None:
            return await self._caller.text(chat_request(model, messages, system_message, drawn), timeout_s)
        others = {"messages": messages, "system_message": system_message}
        prompt = call_prompt(output, input, guidance, others=others)
        return await self._caller.value(prompt, value_request(model, prompt, input, drawn), timeout_s)

    async def answer(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T:
        """Answers a compiled prompt with a value of its type; how blocks call a model.

        Args:
            prompt: Made by ``mdl.prompt``; build it once.
            values: The mapping of arguments, or the input value.
            model_id: Which model.
            block: The block's name, for errors and the run log.
            timeout_s: Deadline, retries included, once the deployment is up.
            **options: Sampling.
        """
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        return await self._await(self._caller.value, prompt, request, timeout_s)

    def answer_sync(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T:
        """``answer`` for threads."""
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        value: T = self._wait(self._caller.value, prompt, request, timeout_s)
        return value

    def stream(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """The answer to ``messages`` in pieces as they come. Closing the iterator cancels the request."""
        request = chat_request(self.model_id_of(model_id), messages, system_message, sampling(**options))
        return self._pieces(request, timeout_s)

    def _pieces(self, request: LMRequest, timeout_s: float | None) -> Iterator[str]:
        portal().refuse_own_thread()
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        future = portal().submit(self._caller.text, request, timeout_s, pieces.put)
        future.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            future.cancel()

    def astream(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncIterator[str]:
        """``stream`` for coroutines."""
        request = chat_request(self.model_id_of(model_id), messages, system_message, sampling(**options))
        return self._apieces(request, timeout_s)

    async def _apieces(self, request: LMRequest, timeout_s: float | None) -> AsyncIterator[str]:
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def put(piece: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop has been closed meanwhile
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        future = portal().submit(self._caller.text, request, timeout_s, put)
        future.add_done_callback(lambda _: put(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            future.cancel()

    def batch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """Makes many calls, as many at a time as the replicas take; results in order.

        Args:
            calls: The keyword arguments of each call.
            errors: ``"collect"`` puts each error in its call's place instead of raising the first.
        """
        return self._wait(self._batch, calls, errors)

    async def abatch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """``batch`` for coroutines."""
        return await self._await(self._batch, calls, errors)

    async def _batch(self, calls: Sequence[Mapping[str, Any]], errors: Errors) -> list[Any]:
        # Twice what runs at a time, so that a replica that finishes a request has the next one in its queue.
        most = max(self.parallelism_of(model_id) for model_id in self.model_ids)
        return await run_batch(calls, self._call, limit=2 * most, errors=errors)
