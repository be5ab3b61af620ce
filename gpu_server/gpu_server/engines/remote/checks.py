"""What an engine must show before it gets traffic: schemas are obeyed, prompts are whole, counts are true.

Each check asks the engine itself; none believes a setting or a health route.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from gpu_server.engines.base import Abilities, EngineError, Job, LoadError, Message
from gpu_server.engines.remote.answers import Answer
from gpu_server.engines.remote.dialect import Dialect
from gpu_server.engines.remote.requests import body_of, probe
from gpu_server.engines.remote.wire import Answered, Wire
from gpu_server.settings import ModelSettings

MAX_LOGPROBS = 20
_SCHEMA_TOKENS = 2048  # room for models that think first
_SEED_TOKENS = 24
_TOLERATED = 0.02
_WRONG: Mapping[str, tuple[object, object]] = {
    "top_k": (5, "five"),
    "min_p": (0.1, "a tenth"),
    "ignore_eos": (False, "perhaps"),
}
"""For each field beyond the standard a good value, and one that only a server refuses that reads it."""


class Checks:
    """The checks of one loaded server.

    Args:
        settings: Which model.
        wire: To its server.
        dialect: In what that differs.
    """

    def __init__(self, settings: ModelSettings, wire: Wire, dialect: Dialect) -> None:
        self._settings = settings
        self._wire = wire
        self._dialect = dialect

    async def schema_obeyed(self) -> None:
        """Ask for JSON that no model would write by itself.

        Raises:
            LoadError: It wrote something else.
        """
        value = secrets.token_hex(4)
        schema = {
            "type": "object",
            "properties": {"reply": {"type": "string", "enum": [value]}},
            "required": ["reply"],
            "additionalProperties": False,
        }
        answer = await self._ask("Say hello.", min(_SCHEMA_TOKENS, self._settings.max_model_len // 2), schema)
        if answer.finish == "length" and answer.reasoning and not answer.text:
            raise LoadError(
                f"asked for JSON, the model thought for {answer.tokens} tokens and wrote none: raise "
                "max_model_len, or switch its thinking off in the server"
            )
        with contextlib.suppress(ValueError):
            if json.loads(answer.text) == {"reply": value}:
                return
        raise LoadError(
            f"the engine does not obey JSON schemas: asked for the one object that a schema allowed, it wrote "
            f"{len(answer.text)} other characters. To mend it, {self._dialect.schema_remedy}."
        )

    async def usage_told(self) -> int:
        """Return the prompt tokens of a short request.

        Raises:
            LoadError: It does not report them at the end of a stream.
        """
        answer = await self._ask("ping", 1)
        if answer.usage is None or not answer.usage.prompt_tokens:
            raise LoadError(
                "the server does not report usage at the end of a stream (stream_options.include_usage): without "
                "it a prompt that was cut cannot be told from a whole one. Use a version that does."
            )
        return answer.usage.prompt_tokens

    async def counts_truly(self, expected: int) -> bool:
        """Tell whether its tokenize route counts as the engine itself does."""
        message = Message("user", "ping")
        with contextlib.suppress(EngineError, LookupError, TypeError):
            count = await self._dialect.count(
                self._wire, self._settings.model_id, [message], constrained=False
            )
            return count == expected
        return False

    async def context_whole(self) -> None:
        """Send a prompt that nearly fills the context, and compare what the server says that it read.

        Raises:
            LoadError: It read less, or refused.
        """
        limit = self._settings.max_model_len
        few, many = min(16, limit // 8), min(64, limit // 4)
        short, longer = await self._read_of(few), await self._read_of(many)
        per_word = max((longer - short) / (many - few), 0.01)
        words = int((limit - 1 - short) / per_word) + few - 4
        expected = short + per_word * (words - few)
        if words <= many:
            return
        try:
            seen = await self._read_of(words)
        except Answered as error:
            raise LoadError(
                f"the server refuses a prompt of {expected:.0f} tokens although max_model_len is {limit}: "
                f"{error.message}. Lower max_model_len, or start that server with a larger context (Ollama: "
                "num_ctx)."
            ) from error
        if seen < expected * (1 - _TOLERATED) - 4:
            raise LoadError(
                f"the server cuts prompts without saying so: of {expected:.0f} tokens it read {seen}. Start it "
                f"with a context of at least {limit} tokens (Ollama: num_ctx, or OLLAMA_CONTEXT_LENGTH={limit}), "
                f"or set max_model_len to what it has."
            )

    async def found_abilities(self) -> tuple[Abilities, frozenset[str]]:
        """Return what it can do and which fields beyond the standard it reads, by trying."""
        if self._settings.task == "embed":
            return Abilities(generate=False, embeddings=True), frozenset()
        raw = {"model": self._settings.model_id, "prompt": "ping", "max_tokens": 1}
        tool = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
        abilities = Abilities(
            completions=await self._takes("/v1/completions", raw),
            seeds=await self._repeats(),
            tools=await self._chats(tools=[{"type": "function", "function": tool}]),
            logprobs=await self._logprobs(),
        )
        read = [
            name
            for name, (good, wrong) in _WRONG.items()
            if await self._chats(**{name: good}) and not await self._chats(**{name: wrong})
        ]
        return abilities, frozenset(read)

    async def _ask(
        self, text: str, max_tokens: int, schema: Mapping[str, Any] | None = None, **sampling: Any
    ) -> Answer:
        job = Job([Message("user", text)], 0, max_tokens, schema=schema, **{"temperature": 0.0, **sampling})
        path, body = body_of(self._settings.model_id, job)
        answer = Answer()
        async with contextlib.aclosing(
            self._wire.events(path, {**body, **self._dialect.fields(job, secrets.token_hex(8))})
        ) as events:
            async for burst in events:
                answer.feed(burst)
        return answer

    async def _read_of(self, words: int) -> int:
        """Return how many prompt tokens the server says it read of that many words."""
        path, body = probe(self._settings)
        text = " ".join(["word"] * words)
        if self._settings.task == "embed":
            body["input"] = [text]
        else:
            body["messages"] = [{"role": "user", "content": text}]
        answer = await self._wire.post(path, body)
        try:
            return int(answer["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError) as error:
            raise LoadError(
                "the server does not report usage: a prompt that it cut could not be found out"
            ) from error

    async def _takes(self, path: str, body: Mapping[str, Any]) -> bool:
        try:
            answer = await self._wire.post(path, body)
        except EngineError:
            return False
        return isinstance(answer, Mapping) and bool(answer.get("choices"))

    async def _chats(self, **fields: Any) -> bool:
        path, body = probe(self._settings)
        return await self._takes(path, {**body, **fields})

    async def _repeats(self) -> bool:
        """Tell whether equal seeds give equal answers and another one another; in doubt no."""
        try:
            answers = [
                (await self._ask("Write random words.", _SEED_TOKENS, seed=seed, temperature=1.5)).text
                for seed in (1, 1, 2)
            ]
        except EngineError:
            return False
        return answers[0] == answers[1] != answers[2]

    async def _logprobs(self) -> int | None:
        path, body = probe(self._settings)
        for most in (MAX_LOGPROBS, 5, 0):
            with contextlib.suppress(EngineError, LookupError, TypeError):
                answer = await self._wire.post(path, {**body, "logprobs": True, "top_logprobs": most})
                rows = answer["choices"][0]["logprobs"]["content"]
                if len(rows[0].get("top_logprobs") or ()) >= min(most, 2):
                    return most
        return None
