"""A chat completion as it arrives, whole or in events: the answer, the reasoning and the refusal each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conduit.lmlite.request import LMReply

# Two names for one thing; an engine that changes from one to the other sends both.
_REASONING = ("reasoning_content", "reasoning")


class Completion:
    """Collects one answer.

    What is no chat completion raises ``KeyError``, ``IndexError``, ``TypeError`` or ``AttributeError``.
    """

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}

    @property
    def begun(self) -> bool:
        """Whether there is a first token, of the answer or of the reasoning before it."""
        return any(self._text) or any(self._reasoning) or any(self._refusal)

    def whole(self, body: Mapping[str, Any]) -> None:
        """Takes a response that is not streamed."""
        choice = body["choices"][0]
        self._finish_reason = choice["finish_reason"]
        self._usage = body.get("usage") or {}
        self._take(choice["message"])

    def event(self, event: Mapping[str, Any]) -> str:
        """Takes one event of a stream and returns its part of the answer's text."""
        self._usage = event.get("usage") or self._usage
        text = ""
        for choice in event.get("choices") or ():
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            text += self._take(choice.get("delta") or {})
        return text

    def reply(self, replica: str, *, first_token_s: float | None) -> LMReply:
        """The answer, once all of it is here."""
        return LMReply(
            text="".join(self._text),
            finish_reason=self._finish_reason or "stop",
            prompt_tokens=self._usage.get("prompt_tokens") or 0,
            completion_tokens=self._usage.get("completion_tokens") or 0,
            replica=replica,
            reasoning="".join(self._reasoning),
            refusal="".join(self._refusal) or None,
            first_token_s=first_token_s,
        )

    def _take(self, message: Mapping[str, Any]) -> str:
        text = _text_of(message, "content")
        self._text.append(text)
        self._reasoning.append(next(filter(None, (_text_of(message, name) for name in _REASONING)), ""))
        self._refusal.append(_text_of(message, "refusal"))
        return text


def _text_of(message: Mapping[str, Any], channel: str) -> str:
    text = message.get(channel)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise TypeError(f"{channel} is no text")
    return text
