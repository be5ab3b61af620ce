"""A job as the body of an OpenAI-style request. Answers are always asked for as streams: those show progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_server.engines.base import Job, Message, Tool
from gpu_server.settings import ModelSettings

_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)
_NAMED_CHOICES = ("auto", "none", "required")


def body_of(model: str, job: Job) -> tuple[str, dict[str, Any]]:
    """Return the path that a job goes to, and its body."""
    if job.prompt is None:
        return "/v1/chat/completions", _chat_body(model, job)
    return "/v1/completions", _completion_body(model, job)


def _chat_body(model: str, job: Job) -> dict[str, Any]:
    """Return the body for `/v1/chat/completions`."""
    body = {"model": model, "messages": [message_form(each) for each in job.messages], **_common(job)}
    if job.schema is not None:
        body["response_format"] = response_format(job.schema)
    if job.tools and job.tool_choice != "none":
        body["tools"] = [tool_form(tool) for tool in job.tools]
        body["tool_choice"] = (
            job.tool_choice
            if job.tool_choice in _NAMED_CHOICES
            else {"type": "function", "function": {"name": job.tool_choice}}
        )
    if job.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": job.logprobs}
    return body


def _completion_body(model: str, job: Job) -> dict[str, Any]:
    """Return the body for `/v1/completions`."""
    body = {"model": model, "prompt": job.prompt, **_common(job)}
    if job.logprobs is not None:
        body["logprobs"] = job.logprobs
    return body


def message_form(message: Message) -> dict[str, Any]:
    """Return one turn as the server takes it."""
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        form["content"] = message.content or None
        form["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        form["tool_call_id"] = message.tool_call_id
    return form


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the demand that every token obeys the schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}


def probe(settings: ModelSettings) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of the cheapest request that makes the engine work."""
    if settings.task == "embed":
        return "/v1/embeddings", {"model": settings.model_id, "input": ["ping"], "encoding_format": "float"}
    messages = [{"role": "user", "content": "ping"}]
    return "/v1/chat/completions", {"model": settings.model_id, "messages": messages, "max_tokens": 1}


def _common(job: Job) -> dict[str, Any]:
    body: dict[str, Any] = {
        "max_tokens": job.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name in _SAMPLING:
        if (value := getattr(job, name)) is not None:
            body[name] = value
    if job.stop:
        body["stop"] = list(job.stop)
    if job.ignore_eos:
        body["ignore_eos"] = True
    return body


def tool_form(tool: Tool) -> dict[str, Any]:
    """Return one function as the server takes it."""
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}
