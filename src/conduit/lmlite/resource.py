"""The LMLite resource: calls of its models, each in a synchronous and an ``async`` form, on top of its life cycle.

Nothing is decided here: every method hands over to ``calling`` on the portal's loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, Unpack, overload

from conduit import mdl
from conduit.lmlite.calls import streams
from conduit.lmlite.calls.arguments import (
    Asked,
    ChatArguments,
    SamplingOptions,
    ValueArguments,
    call,
    sampling,
    value_request,
)
from conduit.lmlite.calls.batch import Errors, Took, check_errors, run_batch
from conduit.lmlite.calls.reply import Reply
from conduit.lmlite.life_cycle import LifeCycle
from conduit.priority import batch_work

T = TypeVar("T")


class LMLiteResource(LifeCycle):
    """Open language models behind one object.

    It starts at ``up()``, at ``with``, or at its first call; a deployment of the same configuration that runs
    already, in whichever process it was started, is used. Safe in threads.
    """

    @overload
    def __call__(self, *, output: type[T], **arguments: Unpack[ValueArguments]) -> T: ...
    @overload
    def __call__(self, **arguments: Unpack[ChatArguments]) -> str: ...
    def __call__(self, **arguments: Any) -> Any:
        """Calls a model and waits: text for ``messages``, a value for ``output``.

        Args:
            **arguments: ``ChatArguments``, or ``output`` and ``ValueArguments``.
        """
        reply: Reply[Any] = self._wait(self._reply, arguments)
        return reply.value

    @overload
    async def acall(self, *, output: type[T], **arguments: Unpack[ValueArguments]) -> T: ...
    @overload
    async def acall(self, **arguments: Unpack[ChatArguments]) -> str: ...
    async def acall(self, **arguments: Any) -> Any:
        """Calls a model: text for ``messages``, a value for ``output``.

        Args:
            **arguments: ``ChatArguments``, or ``output`` (a type) and ``ValueArguments``.

        Raises:
            ArgumentInvalid: The arguments make no call.
            OutputInvalid: The answers did not fit ``output``, the retries' neither.
            OutputTruncated: The token limit cut the typed answer, or a chat's thinking before an answer began.
            OutputRefused: The model declined to answer.
            ModelError: The model could not be asked, or refused.
        """
        reply: Reply[Any] = await self._await(self._reply, arguments)
        return reply.value

    @overload
    def reply(self, *, output: type[T], **arguments: Unpack[ValueArguments]) -> Reply[T]: ...
    @overload
    def reply(self, **arguments: Unpack[ChatArguments]) -> Reply[str]: ...
    def reply(self, **arguments: Any) -> Reply[Any]:
        """Calls a model as the object itself does, and gives the value with its reasoning, repairs and attempts.

        Args:
            **arguments: ``ChatArguments``, or ``output`` and ``ValueArguments``.
        """
        reply: Reply[Any] = self._wait(self._reply, arguments)
        return reply

    @overload
    async def areply(self, *, output: type[T], **arguments: Unpack[ValueArguments]) -> Reply[T]: ...
    @overload
    async def areply(self, **arguments: Unpack[ChatArguments]) -> Reply[str]: ...
    async def areply(self, **arguments: Any) -> Reply[Any]:
        """``reply`` for coroutines."""
        return await self._await(self._reply, arguments)

    def _reply(self, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Reply[Any]]:
        asked = call(self.model_id_of, **arguments)
        if asked.prompt is None:
            return self._caller.text(asked.request, asked.timeout_s)
        return self._caller.value(asked.prompt, asked.request, asked.timeout_s)

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
        reply: Reply[T] = await self._await(self._caller.value, prompt, request, timeout_s)
        return reply.value

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
        reply: Reply[T] = self._wait(self._caller.value, prompt, request, timeout_s)
        return reply.value

    def answer_stream(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Generator[mdl.Partial[T] | T, None, None]:
        """``answer_sync`` as a stream: see ``stream``."""
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        return streams.values(prompt, self._streaming(Asked(request, prompt, timeout_s)))

    def answer_astream(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncGenerator[mdl.Partial[T] | T, None]:
        """``answer_stream`` for coroutines."""
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        return streams.avalues(prompt, self._streaming(Asked(request, prompt, timeout_s)))

    @overload
    def stream(
        self, *, output: type[T], **arguments: Unpack[ValueArguments]
    ) -> Generator[mdl.Partial[T] | T, None, None]: ...
    @overload
    def stream(self, **arguments: Unpack[ChatArguments]) -> Generator[str, None, None]: ...
    def stream(self, **arguments: Any) -> Generator[Any, None, None]:
        """The answer as it comes: pieces of text for ``messages``; for ``output`` partial values, then the value.

        A typed answer that does not fit is asked for again, and its partial values come anew with the next
        ``attempt``. The request begins with the first event that is asked for; closing the generator ends it,
        down to the engine.

        Args:
            **arguments: As of ``acall``, which tells what is raised.
        """
        asked = call(self.model_id_of, **arguments)
        if asked.prompt is None:
            return streams.events(partial(self._caller.text, asked.request, asked.timeout_s))
        return streams.values(asked.prompt, self._streaming(asked))

    @overload
    def astream(
        self, *, output: type[T], **arguments: Unpack[ValueArguments]
    ) -> AsyncGenerator[mdl.Partial[T] | T, None]: ...
    @overload
    def astream(self, **arguments: Unpack[ChatArguments]) -> AsyncGenerator[str, None]: ...
    def astream(self, **arguments: Any) -> AsyncGenerator[Any, None]:
        """``stream`` for coroutines."""
        asked = call(self.model_id_of, **arguments)
        if asked.prompt is None:
            return streams.aevents(partial(self._caller.text, asked.request, asked.timeout_s))
        return streams.avalues(asked.prompt, self._streaming(asked))

    def _streaming(self, asked: Asked) -> streams.Work[tuple[int, str] | Reply[Any]]:
        """Work that hands out the pieces of each attempt, and at the end the reply."""
        prompt = asked.prompt
        assert prompt is not None

        async def work(emit: Callable[[tuple[int, str] | Reply[Any]], Awaitable[None]]) -> None:
            async def piece(attempt: int, text: str) -> None:
                await emit((attempt, text))

            await emit(await self._caller.value(prompt, asked.request, asked.timeout_s, piece))

        return work

    def batch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """Makes many calls, as many at a time as the replicas take; results in order.

        It is batch work: interactive calls to the same replicas go first.

        Args:
            calls: The keyword arguments of each call.
            errors: ``"collect"`` puts each error in its call's place instead of raising the first. A deployment
                that does not come up is raised all the same.
        """
        return self._wait(self._batch, calls, errors)

    async def abatch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """``batch`` for coroutines."""
        return await self._await(self._batch, calls, errors)

    def batch_as_completed(
        self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise"
    ) -> Generator[tuple[int, Any], None, None]:
        """``batch`` that yields each call's place and result as it ends.

        Calls are made as results are taken: a reader that stops leaves a bounded number under way, and closing
        the generator ends those.
        """
        check_errors(errors)
        return streams.events(partial(self._each, calls, errors))

    def abatch_as_completed(
        self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise"
    ) -> AsyncGenerator[tuple[int, Any], None]:
        """``batch_as_completed`` for coroutines."""
        check_errors(errors)
        return streams.aevents(partial(self._each, calls, errors))

    async def _batch(self, calls: Sequence[Mapping[str, Any]], errors: Errors) -> list[Any]:
        check_errors(errors)
        results: list[Any] = [None] * len(calls)

        async def took(answered: tuple[int, Any]) -> None:
            place, results[place] = answered

        await self._each(calls, errors, took)
        return results

    async def _each(self, calls: Sequence[Mapping[str, Any]], errors: Errors, took: Took) -> None:
        if not calls:
            return
        await (
            self._caller.ready()
        )  # once for all: what keeps the deployment from coming up is no call's fault

        async def value(arguments: Mapping[str, Any]) -> Any:
            return (await self._reply(arguments)).value

        # Twice what runs at a time, so that a replica that finishes a request has the next one in its queue.
        most = max(self.parallelism_of(model_id) for model_id in self.model_ids)
        with batch_work():
            await run_batch(calls, value, took, limit=2 * most, errors=errors)
