"""What the server orders, as the engine's process holds it: how to load the model, and one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """Which model, and its limits. The fields are those of the server's configuration."""

    model_id: str
    path: str
    task: str
    max_model_len: int
    max_model_concurrency: int
    dtype: str
    quantization: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One request."""

    messages: Sequence[Mapping[str, Any]]
    prompt_tokens: int
    max_tokens: int
    sampling: Mapping[str, float | int]
    """Only what differs from the model's own, by the engine's names."""
    prompt: str | None = None
    stop: Sequence[str] = ()
    ignore_eos: bool = False
    grammar: str | None = None
    """A JSON schema as text."""
    logprobs: int | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    """In OpenAI's form, for the chat template."""
    stream: bool = False
