"""The chat request as the OpenAI protocol writes it, and the bodies of its answers.

A request is checked completely here. A field that this server does not carry out is refused by name unless its
value asks for nothing; none is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpu_server import errors
from gpu_server.engines.base import FinishReason, Message, Usage
from gpu_server.engines.schema import ANY_OBJECT

MAX_MESSAGES = 2048
_NO_EFFECT: Mapping[str, tuple[object, ...]] = {
    # Fields that many clients send, with the values under which they ask for nothing.
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
_NO_MEANING = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextPart(_Strict):
    """One part of a message; only text is served."""

    type: Literal["text"]
    text: str


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=256)]
    name: None = None
    refusal: None = None
    tool_calls: None = None
    reasoning_content: str | None = None
    """Of an earlier answer, as clients send it back whole. Reasoning models are not shown their former thinking."""

    def plain(self) -> Message:
        """Return it as the engine takes it."""
        content = (
            self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        )
        return Message("system" if self.role == "developer" else self.role, content)


class JsonSchema(_Strict):
    """The schema of a structured answer."""

    name: Annotated[str, Field(max_length=256)] = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextFormat(_Strict):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(_Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(_Strict):
    """JSON that obeys a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(_Strict):
    """What a stream carries beside the text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(gt=0)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    seed: int | None = None
    stop: (
        Annotated[str, Field(min_length=1, max_length=256)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=4)]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: (
        Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None
    ) = None
    ignore_eos: bool = False

    @property
    def schema_wanted(self) -> Mapping[str, Any] | None:
        """The schema that the answer must obey, if any."""
        if isinstance(self.response_format, JsonSchemaFormat):
            return self.response_format.json_schema.schema_
        return ANY_OBJECT if isinstance(self.response_format, JsonObjectFormat) else None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def max_tokens_wanted(self) -> int | None:
        """The limit under its new name or its old one."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


_FIELDS = frozenset(
    field.alias or name
    for model in (
        ChatRequest,
        ChatMessage,
        TextPart,
        TextFormat,
        JsonObjectFormat,
        JsonSchemaFormat,
        JsonSchema,
        StreamOptions,
    )
    for name, field in model.model_fields.items()
) - {"text"}


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read a request body.

    Raises:
        ApiError: 400, naming the parameter and what is wrong with it.
    """
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        # Of a union's branches, the one that came furthest is the one that was meant.
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        fault = max(faults, key=lambda each: (len(each["loc"]), not each["type"].endswith("_type")))
        if fault["type"] == "json_invalid":
            raise errors.bad_request(
                f"The body is not valid JSON: {fault['msg']}.", code="invalid_json"
            ) from None
        param = _parameter(fault["loc"])
        raise errors.bad_request(f"{param or 'body'}: {fault['msg']}.", param=param or None) from None
    for name, value in (request.model_extra or {}).items():
        if value is None or name in _NO_MEANING:
            continue
        if name not in _NO_EFFECT:
            raise errors.unsupported(name[:100], "this server does not have this parameter.")
        if not any(value == harmless and type(value) is type(harmless) for harmless in _NO_EFFECT[name]):
            raise errors.unsupported(name, f"this server does not support {name}={json.dumps(value)[:80]}.")
    if request.stream_options is not None and not request.stream:
        raise errors.bad_request("stream_options: only allowed when stream is true.", param="stream_options")
    return request


def _parameter(location: tuple[int | str, ...]) -> str:
    """Write `messages[0].content`. The names that pydantic gives to the branches of a union are left out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in _FIELDS:
            path += f".{part}" if path else part
    return path.replace("response_format.json_schema.json_schema", "response_format.json_schema")


def usage_body(usage: Usage) -> dict[str, int]:
    """Return the `usage` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def completion_body(
    answer_id: str, model: str, created: int, text: str, reasoning: str, finish: FinishReason, usage: Usage
) -> dict[str, Any]:
    """Return the whole answer as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage_body(usage),
    }


class ChunkWriter:
    """Writes the events of one stream. All but the text is the same each time, so it is written once."""

    def __init__(self, answer_id: str, model: str, created: int, *, include_usage: bool) -> None:
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = "data: " + json.dumps(head)[:-1]
        self._usage_field = ', "usage": null' if include_usage else ""

    def delta(self, delta: Mapping[str, str], finish: FinishReason | None = None) -> bytes:
        """Return one chunk."""
        return (
            f'{self._head}, "choices": [{{"index": 0, "delta": {json.dumps(delta)}, "logprobs": null, '
            f'"finish_reason": {json.dumps(finish)}}}]{self._usage_field}}}\n\n'
        ).encode()

    def usage(self, usage: Usage) -> bytes:
        """Return the chunk that carries the usage and no choice."""
        return f'{self._head}, "choices": [], "usage": {json.dumps(usage_body(usage))}}}\n\n'.encode()
