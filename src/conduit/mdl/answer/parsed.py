"""What reading an answer gives, and what it needs to know of what it reads for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.repairs import Repair

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A value, and what was repaired on the way to it.

    Attributes:
        value: The value; it has passed strict validation.
        repairs: In the order in which they were done.
        reasoning: What the model thought before it answered, in tags or in a field for it.
    """

    value: T
    repairs: tuple[Repair, ...] = ()
    reasoning: str = ""

    @property
    def cost(self) -> int:
        """The price of all repairs; 0 for an answer that was valid as it stood."""
        return sum(done.cost for done in self.repairs)


class Invalid(Exception):
    """A validator's refusal; ``lines`` gives ``path: problem`` when somebody asks. Never leaves this package."""

    def __init__(self, lines: Callable[[], tuple[str, ...]]) -> None:
        super().__init__()
        self.lines = lines


class Target(Protocol):
    """What an answer is read as."""

    label: str

    @property
    def guide(self) -> Guide:
        """The form of the answer."""
        ...

    def validate(self, text: str | bytes) -> Any:
        """The value of a JSON text.

        Raises:
            Invalid: It is no JSON, or not of the type.
        """
        ...
