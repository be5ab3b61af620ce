# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy --strict and pyright infer of ``@lm.block``. This file is only type-checked, never run.

Both checkers want a body for a function that returns a value; ``raise NotImplementedError`` contents them.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, assert_type

from conduit import GPUS, ComputeProvider, Constraint, LMLite, ModelConfig, override
from conduit.dataflow import BlockFuture, ItemFailure
from conduit.errors import ConduitError
from conduit.runtime import LMLiteBlock
from conduit.testing import FakeLM


@dataclass
class Ticket:
    category: Literal["billing", "bug"]
    urgent: bool


lm = LMLite(
    models=[ModelConfig("conduit/tiny", max_model_concurrency=4)],
    compute_provider=ComputeProvider.LOCAL,
    gpu=GPUS.NVIDIA_L4,
    replicas=2,
    constraints=[Constraint.SECURE],
)


@lm.block
def triage(message: str, hint: str = "") -> Ticket:
    """Classify a support message."""
    raise NotImplementedError


@lm.block(model_id="conduit/tiny", temperature=0.2, max_tokens=64, retries=2, timeout_s=20)
async def summary(message: str) -> str:
    """Say it in one sentence."""
    raise NotImplementedError


@lm.block
def short(message: str) -> Ticket:  # type: ignore[empty-body]  # checkers cannot know who answers
    """Classify a support message."""


class Desk:
    @lm.block
    def judge(self, message: str) -> Ticket:
        """Classify a support message."""
        raise NotImplementedError


async def answers(desk: Desk) -> None:
    assert_type(triage("a"), Ticket)
    assert_type(triage("a", hint="b"), Ticket)
    assert_type(short("a"), Ticket)
    assert_type(summary("a"), Coroutine[Any, Any, str]).close()
    assert_type(await summary("a"), str)
    assert_type(desk.judge("a"), Ticket)
    assert_type(triage.map(["a"], batch=64), list[Ticket])
    assert_type(triage.map(["a"], errors="collect"), list[Ticket | ItemFailure])
    assert_type(await summary.map(["a"]), list[str])
    assert_type(triage.submit("a"), BlockFuture[Ticket])
    assert_type(triage.with_options(retries=1)("a"), Ticket)
    assert_type(triage.raw("a"), Ticket)
    triage(1)  # type: ignore[arg-type]
    lm.block(temprature=1)  # type: ignore[call-overload]


def resource() -> None:
    assert_type(lm(output=Ticket, input="a", guidance="Classify."), Ticket)
    assert_type(lm(messages=[{"role": "user", "content": "hi"}]), str)
    provisioned = LMLiteBlock(models="conduit/tiny", compute_provider=ComputeProvider.LOCAL)
    assert_type(provisioned.ready, bool)
    LMLiteBlock(model="conduit/tiny")  # type: ignore[call-arg]
    with override(lm=FakeLM()) as fake:
        assert_type(fake, FakeLM)
    error: type[Exception] = ConduitError
    del error
