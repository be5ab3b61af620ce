"""The embedded engine: mistral.rs, in this process, without torch. Continuous batching, llguidance grammars.

Threads: one dispatcher, the only one that touches the runner (it cannot be shared: a second caller raises), and
a pool of drain threads, one for each request that runs, which sleep inside the engine until their next token.
Requests are always submitted as streams, because only a stream can be cancelled; an answer that was not asked for
as a stream wakes the event loop once, when it is whole. Streams wake it once per burst of tokens, not per token.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from gpu_server.engines.base import (
    Completion,
    EngineCounters,
    EngineError,
    FinishReason,
    Job,
    Message,
    Piece,
    SchemaRefused,
    Usage,
)
from gpu_server.engines.mailbox import Mailbox
from gpu_server.engines.mistralrs_model import effective_settings, first_line, load_model
from gpu_server.engines.schema import grammar_text
from gpu_server.engines.step_meter import StepMeter
from gpu_server.engines.stop_text import StopText
from gpu_server.settings import ModelSettings

if TYPE_CHECKING:
    from mistralrs import ChatCompletionChunkResponse, ChatCompletionRequest, Runner

CLOSE_S = 2.0
WAVE_S = 0.025
WAVE_QUIET_S = 0.004
_INLINE_PROMPT_CHARS = 8_000
_GRAMMAR_MARKS = ("Invalid grammar", "JSON schema", "Parser Error", "<state>")


class _Generation:
    """One request inside the engine. Written by one drain thread, read by the event loop once it is done."""

    __slots__ = ("cancelled", "done", "job", "key", "on_piece", "request", "started", "stream")

    def __init__(
        self, key: int, job: Job, request: ChatCompletionRequest, on_piece: Callable[[Piece], None] | None
    ) -> None:
        self.key = key
        self.job = job
        self.request = request
        self.on_piece = on_piece
        self.stream: Any = None
        self.cancelled = False
        self.started = time.monotonic()
        self.done: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()


class MistralRsEngine:
    """One model on mistral.rs.

    Args:
        settings: Which model, and its limits.
    """

    seeds = False  # "cannot seed the CPU rng"

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._meter = StepMeter()
        self._counters = EngineCounters()
        self._inbox: queue.SimpleQueue[_Generation | None] = queue.SimpleQueue()
        self._drains = ThreadPoolExecutor(settings.max_model_concurrency, thread_name_prefix="drain")
        self._running: set[_Generation] = set()
        self._keys = count()
        self._dispatcher: threading.Thread | None = None

    @property
    def counters(self) -> EngineCounters:
        """Return the counts so far."""
        counters = self._counters
        counters.steps, counters.largest_batch = self._meter.steps, self._meter.largest_batch
        counters.completion_tokens = self._meter.tokens
        return counters

    async def load(self) -> None:
        """Find the files, read the tokenizer, start the engine.

        Raises:
            LoadError: With the reason for the operator.
        """
        self._mailbox = Mailbox(asyncio.get_running_loop())
        runner, self._prompt = await asyncio.to_thread(load_model, self._settings)
        self._counters.facts = effective_settings(self._settings)
        self._dispatcher = threading.Thread(
            target=self._dispatch, args=(runner,), name="dispatch", daemon=True
        )
        self._dispatcher.start()

    async def prompt_tokens(self, messages: Sequence[Message], *, constrained: bool) -> int:
        """Count the prompt. See `Engine`."""
        counting = partial(self._prompt.count, messages, enable_thinking=not constrained)
        if sum(len(message.content) for message in messages) <= _INLINE_PROMPT_CHARS:
            return counting()  # tens of microseconds: a thread would cost more
        return await asyncio.to_thread(counting)

    async def complete(self, job: Job) -> Completion:
        """Return the whole answer. See `Engine`."""
        generation = self._submit(job, None)
        try:
            return await asyncio.shield(generation.done)
        except asyncio.CancelledError:
            await self._cancel(generation)
            raise

    async def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes. See `Engine`."""
        pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        generation = self._submit(job, pieces.put_nowait)
        generation.done.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await generation.done  # raises what went wrong
        finally:
            if not generation.done.done():
                await self._cancel(generation)

    async def close(self) -> None:
        """Cancel what runs and end the threads, within `CLOSE_S`."""
        for generation in tuple(self._running):
            generation.cancelled = True
        self._inbox.put(None)
        if self._running:
            await asyncio.wait([generation.done for generation in self._running], timeout=CLOSE_S)
        self._drains.shutdown(wait=False)

    # One request: event loop → dispatcher → drain thread → event loop.

    def _submit(self, job: Job, on_piece: Callable[[Piece], None] | None) -> _Generation:
        request = _request(job)
        generation = _Generation(next(self._keys), job, request, on_piece)
        self._running.add(generation)
        self._inbox.put(generation)
        return generation

    async def _cancel(self, generation: _Generation) -> None:
        """Take a request out of the batch, and return when the engine has let go of it."""
        if generation.done.done():
            return
        generation.cancelled = True
        self._counters.cancelled += 1
        await asyncio.wait([generation.done])

    def _dispatch(self, runner: Runner) -> None:
        while wave := self._gather():
            for generation in wave:
                if generation.cancelled:
                    self._settle(generation, EngineError("cancelled"))
                    continue
                try:
                    generation.stream = runner.send_chat_completion_request(generation.request)
                except BaseException as error:
                    self._settle(generation, _failure(error, generation.job))
                    continue
                self._drains.submit(self._drain, generation)

    def _gather(self) -> list[_Generation]:
        """Return what goes to the engine next; nothing when the engine is to close.

        The engine advances sequences together only while they have the same length, so those that enter in one
        step stay together to the end, and those that enter one by one may never meet. An idle engine gets its
        request at once; a busy one gets those that arrive within a few milliseconds of each other as one wave.
        """
        wave: list[_Generation] = []
        first = self._inbox.get()
        busy = len(self._running) > 1
        latest = time.monotonic() + WAVE_S
        while first is not None:
            wave.append(first)
            pause_s = min(WAVE_QUIET_S, latest - time.monotonic()) if busy else 0.0
            try:
                first = self._inbox.get(timeout=pause_s) if pause_s > 0 else self._inbox.get_nowait()
            except queue.Empty:
                break
        else:
            self._inbox.put(None)  # closing: found again once this wave is gone
            return wave
        return wave

    def _drain(self, generation: _Generation) -> None:
        outcome: Completion | BaseException
        try:
            outcome = self._read(generation, generation.stream)
        except BaseException as error:
            outcome = _failure(error, generation.job)
        generation.stream = None  # the only reference: dropping it is what takes the request out of the batch
        self._meter.end(generation.key)
        self._settle(generation, outcome)

    def _read(self, generation: _Generation, stream: Iterator[ChatCompletionChunkResponse]) -> Completion:
        job, key, stop = generation.job, generation.key, StopText(generation.job.stop)
        texts: list[str] = []
        thoughts: list[str] = []
        length, first_token_s = job.prompt_tokens, 0.0
        for chunk in stream:
            if generation.cancelled:
                raise EngineError("cancelled")
            length += 1
            self._meter.token(key, length)
            first_token_s = first_token_s or time.monotonic() - generation.started
            choice = chunk.choices[0]
            delta = choice.delta
            text, thought = delta.content or "", delta.reasoning_content or ""
            if (
                job.schema is not None
            ):  # the grammar governs every token, so whatever channel it is in is the value
                text, thought = thought + text, ""
            text = stop.feed(text)
            finish = choice.finish_reason
            if finish is None:
                if generation.on_piece is None:
                    texts.append(text)
                    thoughts.append(thought)
                elif text or thought:
                    self._mailbox.post(generation.on_piece, Piece(text, thought))
                continue
            reason: FinishReason = "length" if finish == "length" and not stop.hit else "stop"
            text += stop.rest()
            usage = Usage(job.prompt_tokens, length - job.prompt_tokens)
            if chunk.usage is not None:
                usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            if generation.on_piece is not None:
                self._mailbox.post(generation.on_piece, Piece(text, thought, reason, usage))
            return Completion(
                "".join((*texts, text)), reason, usage, first_token_s, reasoning="".join((*thoughts, thought))
            )
        raise EngineError("the engine ended the answer without a reason")

    def _settle(self, generation: _Generation, outcome: Completion | BaseException) -> None:
        self._mailbox.post(partial(self._settled, generation), outcome)

    def _settled(self, generation: _Generation, outcome: Completion | BaseException) -> None:
        self._running.discard(generation)
        if generation.done.done():
            return
        if isinstance(outcome, Completion):
            self._counters.prompt_tokens += outcome.usage.prompt_tokens
            generation.done.set_result(outcome)
        else:
            generation.done.set_exception(outcome)
            generation.done.exception()  # seen: a caller that has gone will not fetch it


def _request(job: Job) -> ChatCompletionRequest:
    import mistralrs

    return mistralrs.ChatCompletionRequest(
        messages=[{"role": message.role, "content": message.content} for message in job.messages],
        model="default",
        stream=True,
        max_tokens=job.max_tokens,
        temperature=job.temperature,
        top_p=job.top_p,
        top_k=job.top_k,
        min_p=job.min_p,
        presence_penalty=job.presence_penalty,
        frequency_penalty=job.frequency_penalty,
        stop_seqs=list(job.stop) or None,
        ignore_eos=job.ignore_eos,
        grammar=None if job.schema is None else grammar_text(job.schema),
        grammar_type=None if job.schema is None else "json_schema",
        enable_thinking=job.schema is None,
    )


def _failure(error: BaseException, job: Job) -> BaseException:
    if isinstance(error, EngineError | SchemaRefused):
        return error
    text = str(error)
    if job.schema is not None and any(mark in text for mark in _GRAMMAR_MARKS):
        return SchemaRefused(first_line(error).removeprefix("Invalid grammar. "))
    failure = EngineError(f"{type(error).__name__}: {first_line(error)}")
    failure.__cause__ = error
    return failure
