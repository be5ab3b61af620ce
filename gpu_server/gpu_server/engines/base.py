"""What the server asks of an engine, and the values that pass between them. No engine is imported here.

The server calls `load` once, then per request `prompt_tokens`, and `complete`, `stream` or `embed`. Cancelling the
awaiting task takes the request out of the engine's batch; the call ends only when the engine has let go of it.
Beside that it waits on `lost`, and asks `answers` now and then. A lost engine is closed and a new one is made: no
engine is loaded twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gpu_server.schemas import bounds

FinishReason = Literal["stop", "length", "tool_calls"]


class EngineError(Exception):
    """The engine failed: at loading, or on one request. The text is for the log."""


class EngineLost(EngineError):
    """The engine is gone, and the request with it; another engine may answer it."""


class LoadError(EngineError):
    """The model cannot be served; the text is for the operator."""


class UnfitHost(LoadError):
    """No engine of this kind can run on this machine; on another one it may."""


class PromptRefused(Exception):
    """The model's chat template cannot render these messages; the text is for the caller."""


class PromptTooLong(Exception):
    """Prompt and answer exceed what the engine takes; nothing was cut. The text is for the caller."""


SchemaRefused = bounds.SchemaRefused
"""The engine's grammar cannot enforce the job's schema; the text is for the caller."""


class Unsupported(Exception):
    """The engine cannot do what a parameter asks for.

    Attributes:
        param: The parameter's name in the request.
    """

    def __init__(self, param: str, why: str) -> None:
        super().__init__(why)
        self.param = param


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made; in a stream one part of it.

    Attributes:
        index: Its place among the calls of one answer.
        id: Given in its first part.
        name: The function's; given in its first part.
        arguments: JSON text, or in a stream the next piece of it.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    """JSON schema of its arguments."""
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: str
    content: str
    tool_calls: Sequence[ToolCall] = ()
    """Of an earlier answer."""
    tool_call_id: str | None = None
    """Which call this turn answers; with the role "tool"."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request, checked and complete: nothing in it is left for the engine to guess."""

    messages: Sequence[Message]
    prompt_tokens: int
    """0 when the engine does not count before it answers."""
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
    seed: int | None = None
    prompt: str | None = None
    """Raw text to go on from, in place of messages: no chat template is applied."""
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    """ "auto", "none", "required", or a function's name."""
    logprobs: int | None = None
    """How many of the likeliest tokens to report at each place, 0 for the chosen one alone; None for no report."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could stand at one place of the answer."""

    token: str
    logprob: float
    bytes: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of the answer with its log probability (natural), and the likeliest at its place."""

    token: str
    logprob: float
    bytes: Sequence[int] | None
    top: Sequence[Alternative] = ()


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
    tool_calls: Sequence[ToolCall] = ()
    logprobs: Sequence[TokenLogprob] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: FinishReason
    usage: Usage
    first_token_s: float
    """Seconds from the hand-over to the engine to its first token."""
    reasoning: str = ""
    tool_calls: Sequence[ToolCall] = ()
    logprobs: Sequence[TokenLogprob] = ()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each text, in order."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do with the model that it has loaded. What it cannot do is refused by name."""

    generate: bool = True
    """Chat answers."""
    completions: bool = False
    """Answers to raw text."""
    embeddings: bool = False
    seeds: bool = False
    """A request's seed makes sampling repeatable."""
    tools: bool = False
    logprobs: int | None = None
    """Most alternatives reported at each place; None when there is no report."""


@dataclass(slots=True)
class EngineCounters:
    """What an engine has done since it was loaded."""

    steps: int = 0
    largest_batch: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cancelled: int = 0
    warming: bool = False
    """Whether the model is in memory, and is being tried."""
    kv_used: float | None = None
    """Share of the key-value cache in use, 0 to 1; None when the engine does not tell."""
    facts: dict[str, str] = field(default_factory=dict)
    """Effective settings, for `/ready`."""


class Engine(Protocol):
    """One loaded model."""

    @property
    def abilities(self) -> Abilities:
        """Return what it can do; known once it is loaded."""

    @property
    def counters(self) -> EngineCounters:
        """Return the counts so far. They grow while the engine works, whatever it works on."""

    async def load(self) -> None:
        """Get ready to answer; return when the engine has generated something, not before.

        Raises:
            LoadError: The model cannot be served.
        """

    async def lost(self) -> str:
        """Return why, once the engine is gone; may wait for ever."""

    async def answers(self) -> bool:
        """Tell whether it would answer now, by the cheapest check that cannot lie; may take long when busy."""

    async def prompt_tokens(
        self, messages: Sequence[Message], *, constrained: bool, tools: Sequence[Tool] = ()
    ) -> int | None:
        """Return the length of the prompt with the chat template applied; None when only answering tells.

        Args:
            messages: The conversation.
            constrained: Whether the answer will obey a schema; templates may differ then.
            tools: What the model is told that it may call.

        Raises:
            PromptRefused: The template cannot render them.
        """

    async def text_tokens(self, text: str) -> int | None:
        """Return the length of raw text; None when only answering tells."""

    async def complete(self, job: Job) -> Completion:
        """Return the whole answer.

        Raises:
            PromptTooLong: Prompt and answer exceed what it takes.
            SchemaRefused: The grammar cannot enforce the job's schema.
            Unsupported: It cannot do what the job asks for.
            EngineLost: It is gone.
            EngineError: It failed on this request.
        """

    def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes; the last piece has a finish reason. Raises as `complete` does."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text. Raises as `complete` does; nothing is cut."""

    async def close(self) -> None:
        """Drop what runs, end what was started, free the model; bounded in time."""
