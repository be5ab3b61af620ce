"""In what the servers differ behind the common routes: extra fields, routes of their own, and what they can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_server.engines.base import Abilities, Job, Message
from gpu_server.engines.remote.requests import message_form
from gpu_server.engines.remote.wire import Wire
from gpu_server.settings import ModelSettings

SHORT_S = 60.0


@dataclass(frozen=True, slots=True)
class MetricNames:
    """What `/metrics` of an engine calls the things that we show; "" for what it does not tell."""

    kv_used: str
    steps: str = ""


class Dialect:
    """A plain OpenAI-compatible server: no routes of its own, and only what the standard names.

    Attributes:
        name: For the operator.
        metrics: None when there is nothing to read.
        schema_remedy: What to do when schemas are not obeyed.
        sampling: Fields beyond the standard that it reads.
        finds_abilities: Whether only trying shows what it can do; else `abilities` says it.
    """

    name = "openai"
    metrics: MetricNames | None = None
    schema_remedy = "use a server and a model that obey response_format json_schema"
    sampling: frozenset[str] = frozenset({"top_k", "min_p", "ignore_eos"})

    def abilities(self, settings: ModelSettings) -> Abilities:
        """Return what it can do, as its settings make it."""
        return Abilities(generate=settings.task == "generate", embeddings=settings.task == "embed")

    def fields(self, job: Job, request_id: str) -> Mapping[str, Any]:
        """Return the fields of a request that the standard does not have."""
        del job, request_id
        return {}

    async def abort(self, wire: Wire, request_id: str) -> None:
        """Take a request out of the engine whose connection was closed already."""

    async def count(
        self,
        wire: Wire,
        model: str,
        messages: Sequence[Message],
        *,
        constrained: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> int | None:
        """Return the tokens of a prompt with the template applied; None when it has no such route."""
        del wire, model, messages, constrained, tools
        return None

    async def count_text(self, wire: Wire, model: str, text: str) -> int | None:
        """Return the tokens of raw text; None when it has no such route."""
        del wire, model, text
        return None

    async def generates(self, wire: Wire) -> bool | None:
        """Tell whether the engine generates now, by a route of its own; None when none can be trusted."""
        del wire
        return None

    async def version(self, wire: Wire) -> str | None:
        """Return the engine's own version; None when it does not tell."""
        del wire
        return None


class TokenizingDialect(Dialect):
    """A server with vLLM's tokenize route, which takes messages as well as text. SGLang has the same."""

    thinking_switch = True
    """Whether `chat_template_kwargs` may be sent."""

    def fields(self, job: Job, request_id: str) -> Mapping[str, Any]:
        """Switch thinking off where a schema must be obeyed: thoughts would stand before the JSON."""
        del request_id
        return self._template_fields(constrained=job.schema is not None) if job.prompt is None else {}

    async def count(
        self,
        wire: Wire,
        model: str,
        messages: Sequence[Message],
        *,
        constrained: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> int | None:
        """See `Dialect`."""
        body = {
            "model": model,
            "messages": [message_form(each) for each in messages],
            **self._template_fields(constrained=constrained),
            **({"tools": list(tools)} if tools else {}),
        }
        return _count(await wire.post("/tokenize", body))

    async def count_text(self, wire: Wire, model: str, text: str) -> int | None:
        """See `Dialect`."""
        return _count(await wire.post("/tokenize", {"model": model, "prompt": text}))

    def _template_fields(self, *, constrained: bool) -> Mapping[str, Any]:
        if not (constrained and self.thinking_switch):
            return {}
        return {"chat_template_kwargs": {"enable_thinking": False}}


class AttachedTokenizingDialect(TokenizingDialect):
    """The same on a server that somebody else runs, of which nothing but that route is known."""

    thinking_switch = False


class LlamaCppDialect(Dialect):
    """llama.cpp's server: the template and the tokenizer are two routes."""

    async def count(
        self,
        wire: Wire,
        model: str,
        messages: Sequence[Message],
        *,
        constrained: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> int | None:
        """See `Dialect`."""
        del constrained
        body = {
            "messages": [message_form(each) for each in messages],
            **({"tools": list(tools)} if tools else {}),
        }
        rendered = await wire.post("/apply-template", body)
        prompt = rendered.get("prompt") if isinstance(rendered, Mapping) else None
        return await self.count_text(wire, model, prompt) if isinstance(prompt, str) else None

    async def count_text(self, wire: Wire, model: str, text: str) -> int | None:
        """See `Dialect`."""
        del model
        answer = await wire.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})
        tokens = answer.get("tokens") if isinstance(answer, Mapping) else None
        return len(tokens) if isinstance(tokens, list) else None


def _count(answer: object) -> int | None:
    count = answer.get("count") if isinstance(answer, Mapping) else None
    return count if isinstance(count, int) else None
