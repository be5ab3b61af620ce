# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy --strict and pyright infer of approvals and of what tests use. Only type-checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_type

from conduit import approve, approve_sync, block
from conduit.errors import HttpTimeout
from conduit.testing import Tape, approving, cassette, plain_flows


@dataclass
class Decision:
    pay: bool


async def approvals() -> None:
    assert_type(await approve(Decision), Decision)
    assert_type(await approve(bool, message="Send?", timeout_s=60), bool)
    assert_type(approve_sync(Decision), Decision)
    choice: Literal["a", "b"] = await approve(Literal["a", "b"])
    assert_type(choice, Literal["a", "b"])
    await approve(Decision, timeout_s="60")  # type: ignore[call-overload]


def stand_ins() -> None:
    with (
        cassette("tape.json", mode="replay", scrub=[r"\d+"]) as tape,
        plain_flows(),
        approving(True) as person,
    ):
        assert_type(tape, Tape)
        assert_type(tape.recording, bool)
        assert_type([question.message for question in person.asked], list[str])
    with cassette("tape.json", mode="rewind"):  # type: ignore[arg-type]
        pass


@block(retries=2, retry_on=HttpTimeout)
def one(number: int) -> int:
    return number


@block(retries=2, retry_on=(HttpTimeout, OSError))
def several(number: int) -> int:
    return number


def worth_it(error: BaseException) -> bool:
    return isinstance(error, OSError)


told: Any = block(retries=2, retry_on=worth_it)
