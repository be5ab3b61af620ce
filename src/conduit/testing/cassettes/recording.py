"""What a cassette holds: what was asked of a model, and what came of it. Plain values; no file and no call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pydantic_core

from conduit.errors import ConduitError
from conduit.lmlite.request import GREEDY, LMReply, LMRequest

Scrub = Callable[[Any], Any]
"""Takes JSON data, and gives it without secrets."""


@dataclass(frozen=True)
class Asked:
    """All of a request that decides its answer.

    Attributes:
        name: Of the block; of the type for ``lm(output=T)``; ``chat`` for messages.
        block: Of the calling block, if there is one.
        model_id: As in the ``ModelConfig``.
        messages: What the model was told.
        schema: Of the answer; ``None`` for text.
        sampling: How the answer is drawn, where it is not as usual.
    """

    name: str
    block: str | None
    model_id: str
    messages: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Equal for calls that are equal."""
        parts = [self.block, self.model_id, self.messages, self.schema, self.sampling]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def system(self) -> str | None:
        """The system message, where it comes first and is a text."""
        first = self.messages[0] if self.messages else {}
        content = first.get("content") if first.keys() == {"role", "content"} else None
        return content if first.get("role") == "system" and isinstance(content, str) else None

    @property
    def further(self) -> tuple[Mapping[str, Any], ...]:
        """The messages after the system message."""
        return self.messages if self.system is None else self.messages[1:]


@dataclass(frozen=True)
class Recording:
    """One call, and what came of it.

    Attributes:
        asked: The request.
        reply: The answer; of one that did not end, what had come of it.
        pieces: Lengths of a stream's pieces.
        error: Raised in place of an answer, or in mid-stream.
        left: The caller did not wait for the end.
    """

    asked: Asked
    reply: LMReply
    pieces: tuple[int, ...] = ()
    error: ConduitError | None = None
    left: bool = False

    def texts(self) -> list[str]:
        """The answer in the pieces in which it came."""
        text, parts = self.reply.text, []
        if sum(self.pieces) != len(text):  # scrubbed, or edited by hand
            return [text] if text else []
        for length in self.pieces:
            parts.append(text[:length])
            text = text[length:]
        return parts


def asked_by(request: LMRequest, scrub: Scrub) -> Asked:
    """What a request asks, without secrets."""
    plain: Any = pydantic_core.to_jsonable_python
    sampling = asdict(request.sampling)
    usual = asdict(GREEDY)
    return Asked(
        name=request.block or getattr(request.output, "__name__", None) or "chat",
        block=request.block,
        model_id=request.model_id,
        messages=tuple(scrub(plain(message)) for message in request.messages),
        schema=None if request.schema is None else scrub(plain(request.schema)),
        sampling=scrub(plain({name: value for name, value in sampling.items() if value != usual[name]})),
    )
