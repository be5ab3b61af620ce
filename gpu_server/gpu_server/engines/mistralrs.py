"""The embedded engine: mistral.rs, in this process, without torch. Continuous batching, llguidance grammars.

Threads: one dispatcher, the only one that touches the runner (it cannot be shared: a second caller raises), and
a pool of drain threads, one for each request that runs, which sleep inside the engine until their next token.
Requests are always submitted as streams, because only a stream can be cancelled; an answer that was not asked for
as a stream wakes the event loop once, when it is whole. Streams wake it once per burst of tokens, not per token.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_server.engines.base import (
    Completion,
    EngineCounters,
    EngineError,
    FinishReason,
    Job,
    LoadError,
    Message,
    Piece,
    SchemaRefused,
    Usage,
)
from gpu_server.engines.cpu import kernel_threads
from gpu_server.engines.mailbox import Mailbox
from gpu_server.engines.prompt import PromptCounter, read_json
from gpu_server.engines.schema import grammar_text
from gpu_server.engines.step_meter import StepMeter
from gpu_server.engines.stop_text import StopText
from gpu_server.settings import ModelSettings

if TYPE_CHECKING:
    from mistralrs import ChatCompletionChunkResponse, ChatCompletionRequest, Runner

logger = logging.getLogger(__name__)

CLOSE_S = 2.0
WAVE_S = 0.025
WAVE_QUIET_S = 0.004
_INLINE_PROMPT_CHARS = 8_000
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja")
_GRAMMAR_MARKS = ("Invalid grammar", "JSON schema", "Parser Error", "<state>")


def prepare_process(models: Sequence[ModelSettings]) -> None:
    """Set what the engine reads from the environment; what is set already wins. Call before making an engine.

    Args:
        models: All models that this process will load: they share the kernel threads.
    """
    os.environ.setdefault("RAYON_NUM_THREADS", str(kernel_threads(model.path for model in models)))
    # A half-precision KV cache rounds differently in batches of different size, so greedy answers would depend on
    # who else is running.
    os.environ.setdefault("MISTRALRS_CPU_KV_F32", "1")
    os.environ.setdefault("RUST_LOG", "warn")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


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
        runner = await asyncio.to_thread(self._load)
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

    # Loading, in a thread of its own.

    def _load(self) -> Runner:
        try:
            import mistralrs
        except ImportError as error:
            raise LoadError(
                "the engine is not installed: pip install 'conduit-gpu-server[mistralrs]'"
            ) from error
        settings = self._settings
        folder = settings.path or _from_hub(settings)
        if not folder.is_dir():
            raise LoadError(f"the model folder {folder} does not exist")
        config = read_json(folder / "config.json")
        longest = config.get("max_position_embeddings")
        if isinstance(longest, int) and settings.max_model_len > longest:
            raise LoadError(
                f"max_model_len={settings.max_model_len} is more than the model's own "
                f"max_position_embeddings={longest}"
            )
        self._prompt = PromptCounter(folder)
        dtypes = {
            "f32": mistralrs.ModelDType.F32,
            "bf16": mistralrs.ModelDType.BF16,
            "f16": mistralrs.ModelDType.F16,
            "auto": mistralrs.ModelDType.Auto,
        }
        which: Any = mistralrs.Which.Plain(
            model_id=str(folder),
            arch=_architecture(mistralrs.Architecture, config),
            dtype=dtypes[settings.dtype or "f32"],
        )
        try:
            runner = mistralrs.Runner(
                which=which,
                max_seqs=settings.max_model_concurrency,
                no_paged_attn=True,
                # The engine's prefix cache sets apart sequences that reuse prefixes of different length: they never
                # share a step. It also grows without bound, and panics where a sequence outgrows its block.
                prefix_cache_n=0,
                in_situ_quant=settings.quantization,
            )
        except Exception as error:
            raise LoadError(_first_line(error)) from error
        except BaseException as error:  # a panic of the engine arrives as a BaseException of its own
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise LoadError(f"the engine panicked: {_first_line(error)}") from error
        self._counters.facts = {
            "engine": "mistralrs",
            "dtype": settings.dtype or "f32",
            "kernel_threads": os.environ.get("RAYON_NUM_THREADS", "all"),
        }
        return runner

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
        return SchemaRefused(_first_line(error).removeprefix("Invalid grammar. "))
    failure = EngineError(f"{type(error).__name__}: {_first_line(error)}")
    failure.__cause__ = error
    return failure


def _first_line(error: BaseException) -> str:
    """The engine's messages go on with a backtrace, or with its parser's state, which quotes the answer."""
    lines = [line.strip() for line in str(error).partition("\n<state>")[0].splitlines() if line.strip()]
    kept = [line for line in lines[:4] if not line[:2].rstrip(":").isdigit() and set(line) != {"^"}]
    return " ".join(kept)[:400] or type(error).__name__


def _architecture(known: Any, config: dict[str, Any]) -> Any:
    """Map `Qwen3ForCausalLM` to the engine's name; None lets the engine find out."""
    names = config.get("architectures") or [""]
    wanted = str(names[0]).removesuffix("ForCausalLM").lower()
    found = {name.lower(): getattr(known, name) for name in dir(known) if not name.startswith("_")}
    return found.get(wanted)


def _from_hub(settings: ModelSettings) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            settings.model_id, revision=settings.revision, allow_patterns=list(_HUB_FILES), max_workers=4
        )
    except Exception as error:
        raise LoadError(
            f"cannot fetch {settings.model_id!r} from the model hub: {_first_line(error)}"
        ) from error
    return Path(folder)
