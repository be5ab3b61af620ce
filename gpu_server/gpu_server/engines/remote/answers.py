"""The events of an answer as pieces: text, thoughts, tool calls, log probabilities, the end and the usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpu_server.engines.base import (
    Alternative,
    EngineError,
    FinishReason,
    Piece,
    TokenLogprob,
    ToolCall,
    Usage,
)

_FINISHES: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class Answer:
    """One answer as it comes in. Holds the finish back until the usage is there too.

    Args:
        most: How many alternatives to keep at each place; the older form has the chosen token among them.

    Attributes:
        text: All text so far.
        reasoning: All thoughts so far.
        tokens: How many tokens were seen; a lower bound, as one event may carry several.
        finish: Why it ended, once it has.
        usage: The engine's own count, once it is there.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self.tokens = 0
        self.finish: FinishReason | None = None
        self.usage: Usage | None = None
        self.called = False

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """All thoughts so far."""
        return "".join(self._reasoning)

    def feed(self, burst: Iterable[Mapping[str, Any]]) -> Piece | None:
        """Take the events of one burst and return what they show, as one piece.

        Raises:
            EngineError: The engine ended the answer for a reason of its own.
        """
        text: list[str] = []
        reasoning: list[str] = []
        calls: list[ToolCall] = []
        logprobs: list[TokenLogprob] = []
        for event in burst:
            if usage := event.get("usage"):
                self.usage = Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                shown = choice.get("text") or delta.get("content") or ""
                thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
                parts = [_call(part) for part in delta.get("tool_calls") or ()]
                rows = _logprobs(choice.get("logprobs"), self._most)
                self.tokens += len(rows) or bool(shown or thought or parts)
                text.append(shown)
                reasoning.append(thought)
                calls += parts
                logprobs += rows
                if finish := choice.get("finish_reason"):
                    self._end(finish)
        piece = Piece("".join(text), "".join(reasoning), tool_calls=calls, logprobs=logprobs)
        self._text.append(piece.text)
        self._reasoning.append(piece.reasoning)
        self.called = self.called or bool(calls)
        return piece if piece.text or piece.reasoning or calls or logprobs else None

    def _end(self, reason: str) -> None:
        finish = _FINISHES.get(reason)
        if finish is None:
            raise EngineError(f"the engine ended the answer by itself: {reason[:100]}")
        self.finish = finish


def whole_calls(parts: Iterable[ToolCall]) -> list[ToolCall]:
    """Join the parts of streamed calls."""
    joined: dict[int, ToolCall] = {}
    for part in parts:
        before = joined.get(part.index)
        joined[part.index] = (
            part
            if before is None
            else ToolCall(
                part.index,
                before.id or part.id,
                before.name or part.name,
                before.arguments + part.arguments,
            )
        )
    return [joined[index] for index in sorted(joined)]


def _call(part: Mapping[str, Any]) -> ToolCall:
    function = part.get("function") or {}
    return ToolCall(
        part.get("index") or 0,
        part.get("id") or None,
        function.get("name") or None,
        function.get("arguments") or "",
    )


def _logprobs(report: Mapping[str, Any] | None, most: int | None) -> Sequence[TokenLogprob]:
    """Read either form: that of chats, or the older one of raw texts."""
    if not report:
        return ()
    if "content" in report:
        return [
            TokenLogprob(
                row["token"],
                row["logprob"],
                row.get("bytes"),
                [
                    Alternative(other["token"], other["logprob"], other.get("bytes"))
                    for other in row.get("top_logprobs") or ()
                ],
            )
            for row in report["content"] or ()
        ]
    tokens, values = report.get("tokens") or (), report.get("token_logprobs") or ()
    tops = report.get("top_logprobs") or [None] * len(tokens)
    return [
        TokenLogprob(
            token,
            value if value is not None else 0.0,
            None,
            [
                Alternative(other, logprob)
                for other, logprob in sorted((top or {}).items(), key=lambda row: -row[1])[:most]
            ],
        )
        for token, value, top in zip(tokens, values, tops, strict=True)
    ]
