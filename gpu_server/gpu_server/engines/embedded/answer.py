"""One answer taking shape: the engine's chunks in, messages for the server out."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from gpu_server.engines.embedded.orders import Order
from gpu_server.engines.stop_text import StopText

if TYPE_CHECKING:
    from mistralrs import ChatCompletionChunkResponse, ResponseLogprob


class Answer:
    """Reads the chunks of one request; used by one thread at a time.

    Attributes:
        tokens: Chunks so far. A token that completes no character has none of its own, unless there are logprobs.
        usage: Tokens of prompt and answer as the engine counted them; known at the end.
    """

    def __init__(self, key: int, order: Order) -> None:
        self.tokens = 0
        self.usage = (0, 0)
        self.ended = False
        self._key = key
        self._order = order
        self._started = time.monotonic()
        self._first_token_s = 0.0
        self._stop = StopText(order.stop)
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[Any] = []

    def take(self, chunk: ChatCompletionChunkResponse) -> list[Any] | None:
        """Take the next chunk; return what the server is to hear of it, if anything."""
        order = self._order
        self.tokens += 1
        if self.tokens == 1:
            self._first_token_s = time.monotonic() - self._started
        choice = chunk.choices[0]
        delta = choice.delta
        text, thought = delta.content or "", delta.reasoning_content or ""
        if order.grammar is not None:  # it governs every token, so whatever channel it is in is the value
            text, thought = thought + text, ""
        if order.stop:
            text = self._stop.feed(text)
        if order.logprobs is not None and choice.logprobs is not None:
            self._logprobs.append(_reported(choice.logprobs, order.logprobs))
        self._texts.append(text)
        if thought:
            self._thoughts.append(thought)
        finish = choice.finish_reason
        if finish is None:
            if not order.stream or not (text or thought or self._logprobs):
                return None
            return ["piece", self._key, *self._taken()]
        self.ended = True
        self._texts.append(self._stop.rest())
        reason = "length" if finish == "length" and not self._stop.hit else "stop"
        self.usage = (order.prompt_tokens, self.tokens)
        if chunk.usage is not None:
            self.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        return ["done", self._key, *self._taken(), reason, *self.usage, self._first_token_s]

    def _taken(self) -> tuple[str, str, list[Any]]:
        taken = "".join(self._texts), "".join(self._thoughts), self._logprobs
        self._texts, self._thoughts, self._logprobs = [], [], []
        return taken


def _reported(found: ResponseLogprob, most: int) -> list[Any]:
    """Return token, log probability, bytes and alternatives; what the grammar forbids is no alternative."""
    top = [
        [each.bytes or "", each.logprob] for each in found.top_logprobs[:most] if math.isfinite(each.logprob)
    ]
    return [found.token, found.logprob, None if found.bytes is None else list(found.bytes), top]
