"""What goes to a model and what comes back, as plain values.

Neither HTTP nor a replica is known here: a substitute in tests answers the same values as a server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from conduit.priority import in_batch

Message = Mapping[str, Any]

ReasoningField = Literal["beside", "around"] | None
"""``beside`` the value's own fields, or in an object ``around`` the value."""

flow_run_id: ContextVar[str | None] = ContextVar("conduit_flow_run_id", default=None)
"""The flow run that the current call belongs to, for the run log; whoever runs flows sets it."""

block_call_id: ContextVar[str | None] = ContextVar("conduit_block_call_id", default=None)
"""The block's call that the current call is made for, for the run log; whoever writes its row sets it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is drawn.

    Attributes:
        temperature: 0 is greedy.
        max_tokens: Most tokens of the answer; ``None`` for what ``max_model_len`` leaves.
        stop: Texts that end the answer.
        seed: Of the draw; an engine that cannot seed refuses it.
        top_p: Share of the probability mass to draw from.
    """

    temperature: float = 0.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_p: float | None = None


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class LMRequest:
    """One request to a model.

    Attributes:
        model_id: As in the ``ModelConfig``.
        messages: OpenAI-style messages, the system message first.
        block: Name of the calling block, if there is one.
        output: Type of the answer; ``None`` when it is text.
        values: Input of a typed call: a mapping of arguments, or one value.
        schema: JSON Schema of the answer, as the type says it.
        response_format: The same as it is sent, lowered to what the engine's grammar takes.
        reasoning: Where the answer is to have a field for reasoning, if anywhere; ``schema`` has it too.
        sampling: How the answer is drawn.
        request_id: Stands in the run log and in the server's log.
        flex: Whether it is batch work, which may wait while interactive requests go first.
    """

    model_id: str
    messages: tuple[Message, ...]
    block: str | None = None
    output: Any = None
    values: Any = None
    schema: Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None
    reasoning: ReasoningField = None
    sampling: Sampling = field(default=GREEDY)
    request_id: str = ""
    flex: bool = field(default_factory=in_batch)

    @property
    def caller(self) -> str:
        """Who asks, for messages: the block, or else the model's id."""
        return self.block or self.model_id


@dataclass(frozen=True, slots=True)
class LMReply:
    """One answer.

    Attributes:
        text: What the model wrote.
        finish_reason: OpenAI's: ``stop``, ``length`` when the token limit cut it, ``content_filter`` when the
            engine held the answer back.
        prompt_tokens: Of the request.
        completion_tokens: Of the answer, the reasoning included.
        replica: The node that gave it.
        reasoning: What the model thought before, where the engine tells that apart.
        refusal: Its words when it declined to answer.
        first_token_s: From sending the request to its first token, where that is known.
    """

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replica: str | None = None
    reasoning: str = ""
    refusal: str | None = None
    first_token_s: float | None = None
