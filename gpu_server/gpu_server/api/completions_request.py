"""The body of `POST /v1/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from gpu_server.api.asked import Asked, Limit
from gpu_server.api.reading import INTEGRAL, OnlyFalse

MAX_PROMPTS = 32
DEFAULT_MAX_TOKENS = 16
"""The protocol's own, where a request names none."""
Prompt = Annotated[str, Field(min_length=1)]


class CompletionsRequest(Asked):
    """`POST /v1/completions`."""

    only_harmless: ClassVar[frozenset[str]] = Asked.only_harmless | {"best_of", "echo", "suffix"}

    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]
    max_tokens: Limit | None = None
    logprobs: Annotated[int, Field(ge=0, le=5), INTEGRAL] | None = None

    best_of: Annotated[int, Field(ge=1, le=1), INTEGRAL] | None = None
    echo: OnlyFalse | None = None
    suffix: None = None

    @property
    def prompts(self) -> Sequence[str]:
        """All prompts, in order."""
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt
