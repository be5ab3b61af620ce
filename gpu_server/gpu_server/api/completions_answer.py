"""The bodies that answer a request for raw text, whole and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpu_server.api.chat_answer import usage_body
from gpu_server.engines.base import Completion, Piece, TokenLogprob, Usage


def completions_body(
    head: Mapping[str, Any], answers: Sequence[Completion], usage: Usage, *, logprobs: bool
) -> dict[str, Any]:
    """Return the whole answer as one object.

    Args:
        head: Its id, time and model.
        answers: One for each choice.
        usage: Of all choices together.
        logprobs: Whether they were asked for.
    """
    choices = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": _logprobs(answer.logprobs, 0) if logprobs else None,
            "finish_reason": answer.finish,
        }
        for index, answer in enumerate(answers)
    ]
    return {**head, "object": "text_completion", "choices": choices, "usage": usage_body(usage)}


def _logprobs(tokens: Sequence[TokenLogprob], offset: int) -> dict[str, Any]:
    """Return the form that this route had before chat's."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{each.token: each.logprob for each in token.top} for token in tokens],
        "text_offset": offsets,
    }


class CompletionsChunks:
    """Writes the events of one stream. All but the text is the same each time, so it is written once.

    Args:
        head: The id, time and model of the answer.
        include_usage: Whether the stream ends with the usage.
    """

    def __init__(self, head: Mapping[str, Any], *, include_usage: bool) -> None:
        self._head = "data: " + json.dumps({**head, "object": "text_completion"})[:-1]
        usage_field = ', "usage": null' if include_usage else ""
        self._end = f"}}]{usage_field}}}\n\n"
        self._offsets: dict[int, int] = {}

    def chunk(self, index: int, piece: Piece) -> str:
        """Return the event of a piece of one choice."""
        if not piece.text and piece.finish is None and not piece.logprobs:
            return ""
        logprobs = "null"
        if piece.logprobs:
            offset = self._offsets.get(index, 0)
            logprobs = json.dumps(_logprobs(piece.logprobs, offset))
            self._offsets[index] = offset + sum(len(token.token) for token in piece.logprobs)
        finish = "null" if piece.finish is None else f'"{piece.finish}"'
        return (
            f'{self._head}, "choices": [{{"index": {index}, "text": {json.dumps(piece.text)}, '
            f'"logprobs": {logprobs}, "finish_reason": {finish}{self._end}'
        )

    def usage(self, usage: Usage) -> str:
        """Return the event that carries the usage and no choice."""
        return f'{self._head}, "choices": [], "usage": {json.dumps(usage_body(usage))}}}\n\n'
