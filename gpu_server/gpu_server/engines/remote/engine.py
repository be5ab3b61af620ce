"""An engine that is reached over HTTP, whatever server speaks on the other side.

Every answer is asked for as a stream, also one that is wanted whole: a stream shows that the engine makes progress,
and closing its connection takes the sequence out of the batch. Nothing is queued here: a piece is read when it is
asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from gpu_server.engines.base import (
    Abilities,
    Completion,
    Embeddings,
    EngineCounters,
    EngineError,
    EngineLost,
    Job,
    Message,
    Piece,
    PromptTooLong,
    Tool,
    Unsupported,
    Usage,
)
from gpu_server.engines.remote.answers import Answer, whole_calls
from gpu_server.engines.remote.dialect import Dialect
from gpu_server.engines.remote.lengths import cut, is_json, least_of, least_tokens
from gpu_server.engines.remote.loading import Loading
from gpu_server.engines.remote.metrics import follow
from gpu_server.engines.remote.requests import body_of, probe, tool_form
from gpu_server.engines.remote.servers import Server
from gpu_server.engines.remote.wire import Answered, Wire, meaning
from gpu_server.settings import ModelSettings

ABORT_S = 1.0


class RemoteEngine:
    """One model behind HTTP.

    Args:
        settings: Which model, and its limits.
        server: What listens, or will.
        dialect: In what it differs from a plain OpenAI-compatible server.
    """

    def __init__(self, settings: ModelSettings, server: Server, dialect: Dialect) -> None:
        self._settings = settings
        self._server = server
        self._dialect = dialect
        self._abilities = dialect.abilities(settings)
        self._counters = EngineCounters()
        self._wire: Wire | None = None
        self._counts = False
        self._answering = 0
        self._following: asyncio.Task[None] | None = None

    @property
    def abilities(self) -> Abilities:
        """Return what it can do; known once it is loaded."""
        return self._abilities

    @property
    def counters(self) -> EngineCounters:
        """Return the counts so far."""
        return self._counters

    async def load(self) -> None:
        """Start the server or find it, wait for its first answer, and try what must hold.

        Raises:
            LoadError: With the reason for the operator, and the end of the server's log.
        """
        loading = Loading(self._settings, self._server, self._dialect, self._answered)
        try:
            loaded = await loading.run()
        except BaseException:
            await self.close()
            raise
        self._wire, self._dialect = loaded.wire, loaded.dialect
        self._abilities, self._counts = loaded.abilities, loaded.counts
        self._counters.facts = loaded.facts
        if self._dialect.metrics is not None:
            self._following = asyncio.create_task(
                follow(self._wire, self._dialect.metrics, self._counters, lambda: self._answering > 0)
            )

    async def lost(self) -> str:
        """Return why, once the server is gone. See `Engine`."""
        return await self._server.gone()

    async def answers(self) -> bool:
        """Have it generate a token. See `Engine`."""
        if self._wire is None:
            return False
        try:
            told = await self._dialect.generates(self._wire)
            if told is not None:
                return told
            await self._wire.post(*probe(self._settings))
        except Answered as error:
            return error.status < 500
        except EngineError:
            return False
        return True

    async def prompt_tokens(
        self, messages: Sequence[Message], *, constrained: bool, tools: Sequence[Tool] = ()
    ) -> int | None:
        """Count the prompt where the server does. See `Engine`."""
        if not self._counts:
            return None
        try:
            return await self._dialect.count(
                self._open_wire(),
                self._settings.model_id,
                messages,
                constrained=constrained,
                tools=[tool_form(tool) for tool in tools],
            )
        except Answered as error:
            raise meaning(error, constrained=False) from error

    async def text_tokens(self, text: str) -> int | None:
        """Count raw text where the server does. See `Engine`."""
        if not self._counts:
            return None
        return await self._dialect.count_text(self._open_wire(), self._settings.model_id, text)

    async def complete(self, job: Job) -> Completion:
        """Return the whole answer. See `Engine`."""
        started = time.monotonic()
        first_token_s: float | None = None
        pieces: list[Piece] = []
        async with contextlib.aclosing(self.stream(job)) as stream:
            async for piece in stream:
                if first_token_s is None:
                    first_token_s = time.monotonic() - started
                pieces.append(piece)
        last = pieces[-1]
        assert last.finish is not None
        assert last.usage is not None
        return Completion(
            "".join(piece.text for piece in pieces),
            last.finish,
            last.usage,
            first_token_s or 0.0,
            "".join(piece.reasoning for piece in pieces),
            whole_calls(part for piece in pieces for part in piece.tool_calls),
            [row for piece in pieces for row in piece.logprobs],
        )

    async def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes. See `Engine`."""
        self._refuse_unsupported(job)
        job, room = await self._fit(job)
        wire, request_id = self._open_wire(), uuid.uuid4().hex
        answer, counted = Answer(job.logprobs), 0
        try:
            async with contextlib.aclosing(self._bursts(wire, job, request_id)) as bursts:
                async for burst in bursts:
                    piece = answer.feed(burst)
                    if answer.tokens and not counted:
                        self._answering += 1
                        self._counters.largest_batch = max(self._counters.largest_batch, self._answering)
                    self._counters.completion_tokens += answer.tokens - counted
                    counted = answer.tokens
                    if piece is not None:
                        yield piece
                    if (
                        answer.finish is None and answer.tokens > room
                    ):  # its length is unknown, but not its bound
                        answer.finish = "length"
                        break
            usage = self._usage(job, answer)
            self._counters.prompt_tokens += usage.prompt_tokens
            self._counters.completion_tokens += max(0, usage.completion_tokens - counted)
            self._judge(job, answer, usage)
            finish = "tool_calls" if answer.called and answer.finish == "stop" else answer.finish
            yield Piece("", finish=finish, usage=usage)
        except Answered as error:
            raise meaning(error, constrained=job.schema is not None) from error
        except (asyncio.CancelledError, GeneratorExit):
            if answer.finish is None:
                self._counters.cancelled += 1
            raise
        finally:
            if counted:
                self._answering -= 1

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text. See `Engine`."""
        if not self._abilities.embeddings:
            raise Unsupported("model", f"{self._settings.model_id} answers no embeddings")
        body = {"model": self._settings.model_id, "input": list(texts), "encoding_format": "float"}
        try:
            answer = await self._open_wire().post("/v1/embeddings", body)
        except Answered as error:
            raise meaning(error, constrained=False) from error
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors, count = [row["embedding"] for row in rows], answer["usage"]["prompt_tokens"]
        except (KeyError, TypeError) as error:
            raise EngineError("the engine's server sent embeddings of an unknown form") from error
        if len(vectors) != len(texts):
            raise EngineError(f"the engine's server sent {len(vectors)} vectors for {len(texts)} texts")
        if count < (least := sum(least_tokens(text) for text in texts)):
            raise PromptTooLong(cut(count, least))
        self._counters.prompt_tokens += count
        return Embeddings(vectors, count)

    async def close(self) -> None:
        """Drop what runs and end what was started."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self._wire is not None:
            await self._wire.close()
            self._wire = None
        await self._server.close()

    async def _bursts(
        self, wire: Wire, job: Job, request_id: str
    ) -> AsyncGenerator[list[dict[str, object]], None]:
        """Send the job; make sure that the engine lets go of it when nobody reads to the end."""
        path, body = body_of(self._settings.model_id, job)
        body |= self._dialect.fields(job, request_id)
        if not job.prompt_tokens and job.max_tokens >= self._settings.max_model_len - 1:  # all that there is
            del body["max_tokens"]
        try:
            async with contextlib.aclosing(wire.events(path, body)) as events:
                async for burst in events:
                    yield burst
        except (asyncio.CancelledError, GeneratorExit):
            with contextlib.suppress(TimeoutError, EngineError):
                await asyncio.wait_for(self._dialect.abort(wire, request_id), ABORT_S)
            raise

    def _refuse_unsupported(self, job: Job) -> None:
        can, model = self._abilities, self._settings.model_id
        if job.prompt is not None and not can.completions:
            raise Unsupported("prompt", f"the engine of {model} takes no raw text")
        if job.prompt is None and not can.generate:
            raise Unsupported("messages", f"{model} answers embeddings only")
        if job.seed is not None and not can.seeds:
            raise Unsupported("seed", f"the engine of {model} cannot repeat an answer by its seed")
        if job.tools and not can.tools:
            raise Unsupported("tools", f"the engine of {model} was started without a reader of tool calls")
        if job.logprobs is not None and (can.logprobs is None or job.logprobs > can.logprobs):
            most = "none" if can.logprobs is None else f"at most {can.logprobs}"
            raise Unsupported("logprobs", f"the engine of {model} reports {most}")
        for name in ("top_k", "min_p", "ignore_eos"):
            if getattr(job, name) and name not in self._dialect.sampling:
                raise Unsupported(name, f"the engine of {model} does not read {name}")

    async def _fit(self, job: Job) -> tuple[Job, int]:
        """Refuse what does not fit, and return the job with the room for its answer in tokens."""
        limit, tokens = self._settings.max_model_len, job.prompt_tokens
        if self._counts and (job.tools or not tokens):
            tokens = await self._length(job) or tokens
            if job.tools and job.max_tokens == limit - job.prompt_tokens and tokens < limit:
                job = replace(job, max_tokens=limit - tokens)  # it asked for all the room, tools not counted
            job = replace(job, prompt_tokens=tokens)
        least = tokens or (least_of(job))
        wanted = job.max_tokens if tokens else 1
        if least + wanted > limit:
            raise PromptTooLong(
                f"the prompt has {'' if tokens else 'at least '}{least} tokens and {wanted} are wanted for the "
                f"answer; together at most {limit} fit"
            )
        return job, min(job.max_tokens, limit - least)

    async def _length(self, job: Job) -> int | None:
        try:
            wire, model = self._open_wire(), self._settings.model_id
            if job.prompt is not None:
                return await self._dialect.count_text(wire, model, job.prompt)
            tools = [tool_form(tool) for tool in job.tools] if job.tool_choice != "none" else []
            constrained = job.schema is not None
            return await self._dialect.count(wire, model, job.messages, constrained=constrained, tools=tools)
        except Answered as error:
            raise meaning(error, constrained=False) from error

    def _usage(self, job: Job, answer: Answer) -> Usage:
        if answer.usage is not None:
            return answer.usage
        return Usage(job.prompt_tokens or least_of(job), answer.tokens)  # stopped by us, or never told

    def _judge(self, job: Job, answer: Answer, usage: Usage) -> None:
        """Refuse an answer that is not to what was asked."""
        if answer.finish is None:
            raise EngineError("the engine ended the answer without saying why")
        least = job.prompt_tokens or least_of(job)
        if usage.prompt_tokens < least:
            raise PromptTooLong(cut(usage.prompt_tokens, least))
        total, limit = usage.prompt_tokens + usage.completion_tokens, self._settings.max_model_len
        if total > limit:
            raise PromptTooLong(f"prompt and answer took {total} tokens; together at most {limit} fit")
        if job.schema is None or answer.finish != "stop" or answer.called:
            return
        if not is_json(answer.text or answer.reasoning):  # some put the JSON where thoughts belong
            raise EngineError(
                "the engine ignored the schema: its answer is no JSON. To mend it, "
                f"{self._dialect.schema_remedy}."
            )

    def _answered(self) -> None:
        self._counters.warming = True

    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise EngineLost("the engine is closed")
        return self._wire
