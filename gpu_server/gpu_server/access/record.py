"""What is known of one request when it ends: the one place from which its log line, its metrics and its spans come.

The gate opens a record for every request it lets through its door; the endpoint fills in what only it knows. It
holds numbers and names, never a text that a caller or a model wrote.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field

logger = logging.getLogger("gpu_server.requests")

CALLER_LEFT = 499


@dataclass(slots=True)
class RequestRecord:
    """One request.

    Attributes:
        id: Its `x-request-id`.
        method: The HTTP method.
        route: The route's path, with the names of its parameters; empty for a path that is no route.
        caller: Who asks, as the request's head says; logged only as a hash.
        token_number: Which of the server's tokens it showed, from 1; 0 for none.
        model: A model that is served here, or empty.
        stream: Whether the answer was asked for in pieces.
        batch: Whether it is of the batch class.
        status: What the caller was told; 499 for a caller that left.
        code: The error's code.
        finish: Why the answer ended.
        prompt_tokens: As the engine counted them.
        completion_tokens: The same of the answer.
        queued_s: Time from its arrival to its place in the batch.
        first_token_s: Time from its arrival to its first token.
        traceparent: The caller's trace context.
    """

    id: str
    method: str = ""
    route: str = ""
    caller: str = ""
    token_number: int = 0
    model: str = ""
    stream: bool = False
    batch: bool = False
    status: int = 0
    code: str | None = None
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queued_s: float | None = None
    first_token_s: float | None = None
    traceparent: str = ""
    began: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=time.time)
    total_s: float = 0.0

    @property
    def elapsed_s(self) -> float:
        """Time since its arrival."""
        return time.monotonic() - self.began

    @property
    def tokens_per_s(self) -> float | None:
        """How fast the answer was written after its first token; None for less than two tokens."""
        if self.first_token_s is None or not self.completion_tokens or self.completion_tokens < 2:
            return None
        writing_s = self.total_s - self.first_token_s
        return (self.completion_tokens - 1) / writing_s if writing_s > 0 else None

    def log(self) -> None:
        """Write the line of a request that has ended."""
        speed = self.tokens_per_s
        logger.info(
            "request",
            extra={
                "fields": {
                    "id": self.id,
                    "route": self.route,
                    "model": self.model,
                    "caller": _hash(self.caller or f"token {self.token_number}"),
                    "status": self.status,
                    "code": self.code,
                    "stream": self.stream,
                    "batch": self.batch,
                    "finish": self.finish,
                    "prompt_tokens": self.prompt_tokens,
                    "completion_tokens": self.completion_tokens,
                    "queue_ms": _ms(self.queued_s),
                    "first_token_ms": _ms(self.first_token_s),
                    "ms": _ms(self.total_s),
                    "tokens_per_s": None if speed is None else round(speed, 1),
                }
            },
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _hash(caller: str) -> str:
    """Tell callers apart without naming them."""
    return hashlib.blake2s(caller.encode(), digest_size=4).hexdigest()
