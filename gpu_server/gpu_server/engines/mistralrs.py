"""The embedded engine: mistral.rs in a process of its own, without torch. Continuous batching, llguidance grammars.

This is the server's side: it starts the process, hands requests over and awaits their answers. A crash of the
engine takes its own model's requests with it and nothing else, and no loading of weights holds up this process.
What waits here for a slow reader of a stream is the text of the answer so far, joined to one piece: at most
`max_tokens` tokens of text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from gpu_server.engines.base import (
    Abilities,
    Completion,
    Embeddings,
    EngineCounters,
    EngineError,
    EngineLost,
    Job,
    LoadError,
    Message,
    Piece,
    PromptRefused,
    PromptTooLong,
    SchemaRefused,
    Tool,
    Unsupported,
    Usage,
)
from gpu_server.engines.embedded.cpu import is_small, usable_processors
from gpu_server.engines.embedded.pending import Pending, alternatives
from gpu_server.engines.embedded.process import EngineProcess
from gpu_server.engines.tool_text import ToolText, call_schema, read_call
from gpu_server.schemas.bounds import grammar_text
from gpu_server.settings import TOKEN_VARIABLE, ModelSettings

COMMAND = (sys.executable, "-P", "-m", "gpu_server.engines.embedded")
DEFAULT_DTYPE = "f32"
MOST_LOGPROBS = 20
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
_FAILURES = {
    "prompt": PromptRefused,
    "schema": SchemaRefused,
    "long": PromptTooLong,
    "engine": EngineError,
}


class MistralRsEngine:
    """One model on mistral.rs.

    Args:
        settings: Which model, and its limits.
        log: File that gets what the engine prints; None is our standard error.
        processors: How many its kernels may use; None for all that this process may.
    """

    def __init__(
        self, settings: ModelSettings, *, log: Path | None = None, processors: int | None = None
    ) -> None:
        self._settings = settings
        self._log = log
        self._processors = processors
        self._process: EngineProcess | None = None
        self._loaded: asyncio.Future[None] | None = None
        self._pending: dict[int, Pending] = {}
        self._keys = count()
        self._abilities = Abilities(generate=False)
        self._counters = EngineCounters()

    @property
    def abilities(self) -> Abilities:
        """Return what it can do. See `Engine`."""
        return self._abilities

    @property
    def counters(self) -> EngineCounters:
        """Return the counts so far."""
        return self._counters

    @property
    def pid(self) -> int | None:
        """The engine's process."""
        return None if self._process is None else self._process.pid

    async def load(self) -> None:
        """Start the process and load the model there. See `Engine`."""
        settings = self._settings
        if settings.path is None:
            raise LoadError(f"the files of {settings.model_id} are not on this machine: give `path`")
        self._loaded = asyncio.get_running_loop().create_future()
        self._process = EngineProcess(self._take, self._log)
        await self._process.start(settings.engine_command or COMMAND, self._environment())
        order = settings.model_dump(
            mode="json",
            include={
                "model_id", "path", "task", "max_model_len", "max_model_concurrency", "quantization",
            },
        )  # fmt: skip
        self._process.send(["load", {**order, "dtype": settings.dtype or DEFAULT_DTYPE}])
        ends: list[asyncio.Future[Any]] = [self._loaded, self._process.gone]
        await asyncio.wait(
            ends,
            timeout=settings.startup_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._loaded.done():
            self._loaded.result()
            self._process.gone.add_done_callback(self._lose)
            return
        if self._process.gone.done():
            raise LoadError(self._process.gone.result())
        await self._process.close()
        raise LoadError(
            f"the model was not loaded after startup_timeout_s={settings.startup_timeout_s:g}; a higher one, or a "
            "smaller or quantized model may help"
        )

    async def lost(self) -> str:
        """Return how the process ended, once it has. See `Engine`."""
        assert self._process is not None
        return await asyncio.shield(self._process.gone)

    async def answers(self) -> bool:
        """Ask the engine between two of its steps. See `Engine`."""
        try:
            await self._ask("ping")
        except EngineError:
            return False
        return True

    async def prompt_tokens(
        self, messages: Sequence[Message], *, constrained: bool, tools: Sequence[Tool] = ()
    ) -> int:
        """Count the prompt. See `Engine`."""
        chat = {
            "messages": [_message(message) for message in messages],
            "enable_thinking": not constrained,
            "tools": [_tool(tool) for tool in tools],
        }
        counted: list[int] = await self._ask("count", [chat], [])
        return counted[0]

    async def text_tokens(self, text: str) -> int:
        """Count raw text. See `Engine`."""
        counted: list[int] = await self._ask("count", [], [text])
        return counted[0]

    async def complete(self, job: Job) -> Completion:
        """Return the whole answer. See `Engine`."""
        text, reasoning, reported, finish, usage, first_token_s = await self._run(
            "submit", self._order(job, stream=False)
        )
        calls = []
        if call_schema(job.tools, job.tool_choice) is not None:
            if (call := read_call(text, 0)) is not None:
                text, calls = "", [call]
        elif job.tools and job.tool_choice != "none":
            parts = ToolText(tool.name for tool in job.tools)
            shown, calls = parts.feed(text)
            rest, last = parts.rest()
            text, calls = shown + rest, [*calls, *last]
        return Completion(
            text,
            "tool_calls" if calls and finish == "stop" else finish,
            Usage(*usage),
            first_token_s,
            reasoning=reasoning,
            tool_calls=calls,
            logprobs=alternatives(reported),
        )

    async def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes. See `Engine`."""
        order = self._order(job, stream=True)
        pending = self._send("submit", order)
        calls = None
        if job.tools and job.tool_choice != "none":
            forced = call_schema(job.tools, job.tool_choice) is not None
            calls = _Calls(job.tools, forced=forced)
        try:
            while (piece := await pending.next_piece()) is not None:
                yield piece if calls is None else calls.part(piece)
        finally:
            await self._let_go(pending)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text. See `Engine`."""
        if not self._abilities.embeddings:
            raise Unsupported("model", "this model answers; it does not embed")
        vectors, tokens = await self._run("embed", list(texts))
        return Embeddings(vectors, tokens)

    async def close(self) -> None:
        """End the process. See `Engine`."""
        if self._process is not None:
            await self._process.close()
            self._lose(self._process.gone)

    # Between here and the engine's process.

    async def _ask(self, kind: str, *fields: object) -> Any:
        """Send a question and return its answer; a caller that leaves need not wait for it."""
        pending = self._send(kind, *fields)
        try:
            return await asyncio.shield(pending.done)
        finally:
            self._pending.pop(pending.key, None)

    async def _run(self, kind: str, *fields: object) -> Any:
        """Send a request and return its result; when the caller leaves, return once the engine has let go of it."""
        pending = self._send(kind, *fields)
        try:
            return await asyncio.shield(pending.done)
        finally:
            await self._let_go(pending)

    def _send(self, kind: str, *fields: object) -> Pending:
        if self._process is None:
            raise EngineLost("the engine is not loaded")
        key = next(self._keys)
        self._process.send([kind, key, *fields])
        pending = self._pending[key] = Pending(key)
        return pending

    async def _let_go(self, pending: Pending) -> None:
        if pending.done.done():
            return
        self._counters.cancelled += 1
        assert self._process is not None
        with contextlib.suppress(EngineLost):
            self._process.send(["cancel", pending.key])
        await asyncio.wait([pending.done])

    def _take(self, message: list[Any]) -> None:
        match message:
            case ["piece", key, *parts]:
                if (streamed := self._pending.get(key)) is not None:
                    streamed.piece(*parts)
            case ["counts", steps, largest, prompt_tokens, completion_tokens]:
                counters = self._counters
                counters.steps, counters.largest_batch = steps, largest
                counters.prompt_tokens, counters.completion_tokens = prompt_tokens, completion_tokens
            case ["done", key, text, reasoning, reported, finish, prompt, completion, first_token_s]:
                self._settle(key, (text, reasoning, reported, finish, (prompt, completion), first_token_s))
            case ["counted", key, lengths]:
                self._settle(key, lengths)
            case ["embedded", key, vectors, tokens]:
                self._settle(key, (vectors, tokens))
            case ["pong", key]:
                self._settle(key, True)
            case ["failed", key, kind, text]:
                self._settle(key, _FAILURES[kind](text))
            case ["warming"]:
                self._counters.warming = True
            case ["loaded", facts, able] if self._loaded is not None and not self._loaded.done():
                self._become(facts, able)
                self._loaded.set_result(None)
            case ["not loaded", text] if self._loaded is not None and not self._loaded.done():
                self._loaded.set_exception(LoadError(text))

    def _become(self, facts: dict[str, str], able: Mapping[str, bool]) -> None:
        embeds = self._settings.task == "embed"
        self._counters.facts = facts
        self._abilities = Abilities(
            generate=not embeds,
            completions=not embeds,
            embeddings=embeds,
            tools=not embeds and able["tools"],
            logprobs=None if embeds else MOST_LOGPROBS,
        )

    def _settle(self, key: int, outcome: object) -> None:
        pending = self._pending.pop(key, None)
        if pending is not None:
            pending.settle(outcome)

    def _lose(self, gone: asyncio.Future[str]) -> None:
        for key in list(self._pending):
            self._settle(key, EngineLost(gone.result() if gone.done() else "the engine was closed"))

    def _order(self, job: Job, *, stream: bool) -> dict[str, Any]:
        """Return the job as the engine's process takes it.

        Raises:
            Unsupported: It asks for what this engine cannot do.
            SchemaRefused: Its schema is too large or too deep.
        """
        able = self._abilities
        if not able.generate:
            raise Unsupported("model", "this model embeds; it does not answer")
        if job.seed is not None and job.temperature != 0:
            raise Unsupported(
                "seed", "this engine cannot seed its sampling; leave it out, or set temperature to 0"
            )
        if job.tools and not able.tools:
            raise Unsupported("tools", "this model's chat template takes no tools")
        if job.logprobs is not None and job.logprobs > MOST_LOGPROBS:
            raise Unsupported("top_logprobs", f"this engine reports at most {MOST_LOGPROBS} alternatives")
        schema = job.schema or call_schema(job.tools, job.tool_choice)
        return {
            "messages": [_message(message) for message in job.messages],
            "prompt": job.prompt,
            "prompt_tokens": job.prompt_tokens,
            "max_tokens": job.max_tokens,
            "sampling": {name: value for name in _SAMPLING if (value := getattr(job, name)) is not None},
            "stop": list(job.stop),
            "ignore_eos": job.ignore_eos,
            "grammar": None if schema is None else grammar_text(schema),
            "logprobs": job.logprobs,
            "tools": [] if job.tool_choice == "none" else [_tool(tool) for tool in job.tools],
            "stream": stream,
        }

    def _environment(self) -> dict[str, str]:
        """Return what the engine reads from its environment; what is set already wins."""
        threads = 1 if is_small(self._settings.path) else self._processors or usable_processors()
        return {
            "RAYON_NUM_THREADS": str(threads),
            # A half-precision KV cache rounds differently in batches of different size, so greedy answers would
            # depend on who else is running.
            "MISTRALRS_CPU_KV_F32": "1",
            "RUST_LOG": "warn",
            "TOKENIZERS_PARALLELISM": "false",
            # Each step copies the caches of its sequences. The allocator would keep every size that it has seen.
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "4194304",
            "MALLOC_TRIM_THRESHOLD_": "8388608",
            **{name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
        }


class _Calls:
    """Turns the pieces of one stream into text and calls."""

    def __init__(self, tools: Sequence[Tool], *, forced: bool) -> None:
        self._text: list[str] | None = [] if forced else None
        self._parts = ToolText(tool.name for tool in tools)

    def part(self, piece: Piece) -> Piece:
        """Return the piece with its calls; one that must be made comes whole, at the end."""
        if self._text is not None:
            self._text.append(piece.text)
            call = read_call("".join(self._text), 0) if piece.finish is not None else None
            shown = "" if call is not None or piece.finish is None else "".join(self._text)
            calls = [] if call is None else [call]
        else:
            shown, calls = self._parts.feed(piece.text)
            if piece.finish is not None:
                rest, last = self._parts.rest()
                shown, calls = shown + rest, [*calls, *last]
        finish = piece.finish
        if finish == "stop" and (calls or self._parts.found):
            finish = "tool_calls"
        return Piece(shown, piece.reasoning, finish, piece.usage, calls, piece.logprobs)


def _message(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        plain["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def _arguments(text: str) -> Any:
    """Templates write them as JSON themselves."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}
