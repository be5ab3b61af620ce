"""What the server asks of an engine, and the values that pass between them. No engine is imported here.

The server calls `load` once, then per request `prompt_tokens`, and `complete` or `stream`. Cancelling the awaiting
task takes the request out of the engine's batch; the call ends only when the engine has let go of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]


class EngineError(Exception):
    """The engine failed: at loading, or on one request. The text is for the log."""


class LoadError(EngineError):
    """The model cannot be served; the text is for the operator."""


class PromptRefused(Exception):
    """The model's chat template cannot render these messages; the text is for the caller."""


class SchemaRefused(Exception):
    """The engine's grammar cannot enforce this schema; the text is for the caller."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Job:
    """One request, checked and complete: nothing in it is left for the engine to guess."""

    messages: Sequence[Message]
    prompt_tokens: int
    max_tokens: int
    temperature: float | None = None
    """None takes the model's own default; so do the other sampling fields."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: Sequence[str] = ()
    ignore_eos: bool = False
    schema: Mapping[str, Any] | None = None
    """JSON schema that every token must obey."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the engine counted them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of an answer; the last piece of a stream carries `finish` and `usage`."""

    text: str
    reasoning: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: FinishReason
    usage: Usage
    first_token_s: float
    """Seconds from the hand-over to the engine to its first token."""
    reasoning: str = ""


@dataclass(slots=True)
class EngineCounters:
    """What an engine has done since it was loaded."""

    steps: int = 0
    largest_batch: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cancelled: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    """Effective settings, for `/ready`."""


class Engine(Protocol):
    """One loaded model."""

    seeds: bool
    """Whether a request's seed makes sampling repeatable."""

    @property
    def counters(self) -> EngineCounters:
        """Return the counts so far."""

    async def load(self) -> None:
        """Get ready to answer.

        Raises:
            LoadError: The model cannot be served.
        """

    async def prompt_tokens(self, messages: Sequence[Message], *, constrained: bool) -> int:
        """Return the length of the prompt with the chat template applied.

        Args:
            messages: The conversation.
            constrained: Whether the answer will obey a schema; templates may differ then.

        Raises:
            PromptRefused: The template cannot render them.
        """

    async def complete(self, job: Job) -> Completion:
        """Return the whole answer.

        Raises:
            SchemaRefused: The grammar cannot enforce the job's schema.
            EngineError: The engine failed on this request.
        """

    def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes; the last piece has a finish reason. Raises as `complete` does."""

    async def close(self) -> None:
        """Drop what runs and free the model; bounded in time."""
