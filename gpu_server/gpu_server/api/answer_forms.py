"""The forms of the answers, for the OpenAPI document. The answers themselves are written without them, for speed;
tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Finish = Literal["stop", "length", "tool_calls"]


class Form(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Form):
    """What went wrong, for programs (`code`) and for people (`message`)."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(Form):
    """Every answer that is no success."""

    error: ErrorBody


class UsageBody(Form):
    """Tokens as the engine counted them."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class AnsweredFunction(Form):
    """The function, and its arguments as JSON text."""

    name: str
    arguments: str


class AnsweredCall(Form):
    """A call that the model wants made."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnswerMessage(Form):
    """The model's turn."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[AnsweredCall] | None = None


class TopLogprob(Form):
    """A token that could stand at a place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprobBody(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Form):
    """The log probabilities of an answer's tokens."""

    content: list[TokenLogprobBody]
    refusal: None


class ChatChoice(Form):
    """One answer."""

    index: Count
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: Finish


class ChatCompletion(Form):
    """The whole answer to a chat request."""

    id: str
    object: Literal["chat.completion"]
    created: Count
    model: str
    service_tier: Literal["default", "flex"] | None = None
    choices: Annotated[list[ChatChoice], Field(min_length=1)]
    usage: UsageBody


class TextLogprobs(Form):
    """Log probabilities in the form that came before chat's."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[Count]


class TextChoice(Form):
    """One answer."""

    index: Count
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Finish


class TextCompletion(Form):
    """The whole answer to a request for raw text."""

    id: str
    object: Literal["text_completion"]
    created: Count
    model: str
    choices: Annotated[list[TextChoice], Field(min_length=1)]
    usage: UsageBody


class Embedding(Form):
    """One vector, as numbers or as base64 of 32-bit little-endian floats."""

    object: Literal["embedding"]
    index: Count
    embedding: list[float] | str


class EmbeddingsUsage(Form):
    """Tokens of all texts."""

    prompt_tokens: Count
    total_tokens: Count


class EmbeddingList(Form):
    """The answer to a request for vectors."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


class AbilitiesBody(Form):
    """What a model's engine can do; what it cannot do is refused by name."""

    generate: bool
    completions: bool
    embeddings: bool
    seeds: bool
    tools: bool
    logprobs: Count | None


class ModelCard(Form):
    """One model."""

    id: str
    object: Literal["model"]
    created: Count
    owned_by: str
    max_model_len: Annotated[int, Field(gt=0)]
    engine: str
    abilities: AbilitiesBody | None


class ModelList(Form):
    """All models."""

    object: Literal["list"]
    data: list[ModelCard]


class RequestCounts(Form):
    """The rows of a batch."""

    total: Count
    completed: Count
    failed: Count


class BatchState(Form):
    """A batch in numbers."""

    id: str
    object: Literal["batch"]
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    created_at: Count
    ended_at: Count | None
    results: Count
    request_counts: RequestCounts


class RowResponse(Form):
    """What the row's route answered."""

    status_code: Annotated[int, Field(ge=200, le=599)]
    request_id: str
    body: dict[str, Any]


class BatchResult(Form):
    """One line of a batch's results."""

    id: str
    custom_id: str | None
    response: RowResponse | None
    error: dict[str, Any] | None


class ModelState(BaseModel):
    """One model in `/ready`."""

    model_id: str
    state: Literal["starting", "ready", "busy", "failed"]
    reason: str | None
    running: Count
    waiting: Count


class Ready(BaseModel):
    """Whether every model answers."""

    ready: bool
    draining: bool
    models: list[ModelState]


class Live(Form):
    """The process runs."""

    status: Literal["live"]
