"""The bodies that answer a chat request, whole and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpu_server.engines.base import Completion, Piece, TokenLogprob, ToolCall, Usage


def usage_body(usage: Usage) -> dict[str, int]:
    """Return the `usage` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def chat_body(
    head: Mapping[str, Any],
    answers: Sequence[Completion],
    usage: Usage,
    *,
    logprobs: bool,
    calls_kept: int | None,
) -> dict[str, Any]:
    """Return the whole answer as one object.

    Args:
        head: Its id, time and model.
        answers: One for each choice.
        usage: Of all choices together.
        logprobs: Whether they were asked for.
        calls_kept: Most calls that a choice may hold; None for all.
    """
    choices = [
        {
            "index": index,
            "message": _message(answer, calls_kept),
            "logprobs": _logprobs(answer.logprobs) if logprobs else None,
            "finish_reason": answer.finish,
        }
        for index, answer in enumerate(answers)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage_body(usage)}


def _message(answer: Completion, calls_kept: int | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["content"] = answer.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.tool_calls[:calls_kept]
        ]
    return message


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    content = [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": token.bytes and list(token.bytes),
            "top_logprobs": [
                {"token": each.token, "logprob": each.logprob, "bytes": each.bytes and list(each.bytes)}
                for each in token.top
            ],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


class ChatChunks:
    """Writes the events of one stream. All but the text is the same each time, so it is written once.

    Args:
        head: The id, time and model of the answer.
        include_usage: Whether the stream ends with the usage.
        calls_kept: Most calls that a choice may hold; None for all.
    """

    def __init__(self, head: Mapping[str, Any], *, include_usage: bool, calls_kept: int | None) -> None:
        self._head = "data: " + json.dumps({**head, "object": "chat.completion.chunk"})[:-1]
        self._usage_field = ', "usage": null' if include_usage else ""
        self._calls_kept = calls_kept
        self._plain_end = f', "logprobs": null, "finish_reason": null}}]{self._usage_field}}}\n\n'
        self._starts: dict[int, str] = {}

    def chunk(self, index: int, piece: Piece) -> str:
        """Return the events of a piece of one choice; the first of a choice opens it."""
        start, opening = self._starts.get(index), ""
        if start is None:
            start = self._starts[index] = f'{self._head}, "choices": [{{"index": {index}, "delta": '
            opening = f'{start}{{"role": "assistant", "content": ""}}{self._plain_end}'
        if piece.finish is None and not (piece.reasoning or piece.tool_calls or piece.logprobs):
            if not piece.text:
                return opening
            return f'{opening}{start}{{"content": {json.dumps(piece.text)}}}{self._plain_end}'
        events = opening
        delta = self._delta(piece)
        if delta or piece.logprobs:
            logprobs = json.dumps(_logprobs(piece.logprobs)) if piece.logprobs else "null"
            end = f', "logprobs": {logprobs}, "finish_reason": null}}]{self._usage_field}}}\n\n'
            events += f"{start}{json.dumps(delta)}{end}"
        if piece.finish is not None:
            end = f', "logprobs": null, "finish_reason": "{piece.finish}"}}]{self._usage_field}}}\n\n'
            events += f"{start}{{}}{end}"
        return events

    def _delta(self, piece: Piece) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if piece.reasoning:
            delta["reasoning_content"] = piece.reasoning
        if piece.text:
            delta["content"] = piece.text
        kept = [
            call for call in piece.tool_calls if self._calls_kept is None or call.index < self._calls_kept
        ]
        if kept:
            delta["tool_calls"] = [_call_part(call) for call in kept]
        return delta

    def usage(self, usage: Usage) -> str:
        """Return the event that carries the usage and no choice."""
        return f'{self._head}, "choices": [], "usage": {json.dumps(usage_body(usage))}}}\n\n'


def _call_part(call: ToolCall) -> dict[str, Any]:
    """Return a part of a call: its id and its name come with its first part only."""
    function: dict[str, Any] = {"arguments": call.arguments}
    part: dict[str, Any] = {"index": call.index, "function": function}
    if call.id is not None:
        part |= {"id": call.id, "type": "function"}
    if call.name is not None:
        function["name"] = call.name
    return part
