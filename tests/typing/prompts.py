# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy --strict and pyright infer of prompts and of MDL text. This file is only type-checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from conduit import mdl


@dataclass
class Ticket:
    topic: str
    urgent: bool


def triage(message: str, limit: int = 3) -> Ticket:
    """Classify a support message."""
    raise NotImplementedError


class Desk:
    def judge(self, message: str) -> list[Ticket]:
        """Judge a message."""
        raise NotImplementedError


def prompts() -> None:
    assert_type(mdl.prompt(triage), mdl.Prompt[Ticket])
    assert_type(mdl.prompt(Desk().judge), mdl.Prompt[list[Ticket]])
    assert_type(mdl.prompt(output=Ticket, input=str, instruction="Classify."), mdl.Prompt[Ticket])
    assert_type(mdl.prompt(triage, reasoning=True).parse("{}").value, Ticket)
    assert_type(mdl.prompt(triage).parse("{}").reasoning, str)
    mdl.prompt(triage, examples=[({"message": "Hi"}, Ticket("other", False))])
    mdl.prompt(triage, examples=[({"message": "Hi"}, {"topic": "other"}, "A greeting.")], reasoning=True)
    mdl.prompt(triage, examples=[({"message": "Hi"},)])  # type: ignore[list-item]
    mdl.prompt(triage, output=Ticket)  # type: ignore[call-overload]


def text() -> None:
    assert_type(mdl.from_text("a: int"), mdl.Document)
    assert_type(mdl.render(mdl.from_text("a: int")), str)
    assert_type(mdl.compile_mdl(Ticket), list[str])
    mdl.from_text(b"a: int")  # type: ignore[arg-type]
