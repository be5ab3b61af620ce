"""What a call gives beside its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from conduit import mdl
from conduit.store import Attempt

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Reply(Generic[T_co]):
    """A value, and how it came to be.

    Attributes:
        value: The text of a chat, or the validated value of a typed call.
        reasoning: What the model thought before it answered; empty when it did not, or does not tell.
        repairs: What was repaired on the way from its text to the value; see ``mdl.parse``.
        attempts: The answers asked for, first to last; the last one holds the value.
        finish_reason: ``stop``, or ``length`` when the token limit cut a text.
    """

    value: T_co
    reasoning: str = ""
    repairs: tuple[mdl.Repair, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    finish_reason: str = "stop"

    @property
    def prompt_tokens(self) -> int:
        """Of all attempts."""
        return sum(attempt.prompt_tokens or 0 for attempt in self.attempts)

    @property
    def completion_tokens(self) -> int:
        """Of all attempts, thinking included."""
        return sum(attempt.completion_tokens or 0 for attempt in self.attempts)
