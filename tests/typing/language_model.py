# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy --strict and pyright infer of ``@lm.block``. This file is only type-checked, never run.

Both checkers want a body for a function that returns a value; ``raise NotImplementedError`` contents them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal, assert_type

from conduit import GPUS, ComputeProvider, Constraint, LMLite, ModelConfig, Routing, block, mdl, override
from conduit.dataflow import BlockFuture, ItemFailure
from conduit.errors import ConduitError
from conduit.lmlite import Reply
from conduit.mdl import Partial
from conduit.runtime import LMLiteBlock, VllmBlock
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


@lm.block
def streamed(message: str, hint: str = "") -> mdl.Stream[Ticket]:
    """Classify a support message."""
    raise NotImplementedError


@lm.block(temperature=0.2, examples=[({"count": 1}, ["a"])], reasoning=True)
def letters(count: int) -> Iterator[Partial[list[str]] | list[str]]:
    """Name letters."""
    raise NotImplementedError


@lm.block
def astreamed(message: str) -> mdl.AsyncStream[Ticket]:
    """Classify a support message."""
    raise NotImplementedError


@block
def passed_on(message: str) -> mdl.Stream[Ticket]:
    yield from lm.stream(input=message, output=Ticket)


class Desk:
    @lm.block
    def judge(self, message: str) -> Ticket:
        """Classify a support message."""
        raise NotImplementedError

    @lm.block
    def watch(self, message: str) -> mdl.Stream[Ticket]:
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


async def streams(desk: Desk) -> None:
    for event in streamed("a", hint="b"):
        if isinstance(event, Partial):
            assert_type(event, Partial[Ticket])
        else:
            assert_type(event, Ticket)
    assert_type(letters(2), Generator[Partial[list[str]] | list[str], None, None])
    assert_type(desk.watch("a"), Generator[Partial[Ticket] | Ticket, None, None])
    assert_type(passed_on("a"), Generator[Partial[Ticket] | Ticket, None, Any])
    async for aevent in astreamed("a"):
        assert_type(aevent, Partial[Ticket] | Ticket)
    assert_type(streamed.map(["a"]), list[Ticket])
    assert_type(streamed.map(["a"], errors="collect"), list[Ticket | ItemFailure])
    assert_type(await astreamed.map(["a"]), list[Ticket])
    assert_type(streamed.submit("a"), BlockFuture[Ticket])
    assert_type(letters.map([1]), list[list[str]])
    streamed(1)  # type: ignore[arg-type]


async def calls() -> None:
    chat = [{"role": "user", "content": "hi"}]
    assert_type(lm.stream(messages=chat, max_tokens=5), Generator[str, None, None])
    assert_type(lm.stream(output=Ticket, input="a"), Generator[Partial[Ticket] | Ticket, None, None])
    assert_type(lm.astream(messages=chat), AsyncGenerator[str, None])
    assert_type(lm.astream(output=Ticket), AsyncGenerator[Partial[Ticket] | Ticket, None])
    assert_type(lm.reply(messages=chat), Reply[str])
    assert_type(lm.reply(output=Ticket, reasoning=True).value, Ticket)
    assert_type(await lm.areply(output=Ticket), Reply[Ticket])
    assert_type(await lm.acall(output=Ticket, guidance="Classify."), Ticket)
    assert_type(lm.batch([{"messages": chat}], errors="collect"), list[Any])
    assert_type(lm.batch_as_completed([{"messages": chat}]), Generator[tuple[int, Any], None, None])
    assert_type(lm.abatch_as_completed([{"messages": chat}]), AsyncGenerator[tuple[int, Any], None])
    lm.batch([{"messages": chat}], errors="ignore")  # type: ignore[arg-type]
    lm(messages=chat, reasoning=True)  # type: ignore[call-overload]
    lm(output=Ticket, temprature=1)  # type: ignore[call-overload]


def resource() -> None:
    assert_type(lm(output=Ticket, input="a", guidance="Classify."), Ticket)
    assert_type(lm(messages=[{"role": "user", "content": "hi"}]), str)
    provisioned = LMLiteBlock(models="conduit/tiny", compute_provider=ComputeProvider.LOCAL)
    assert_type(provisioned.ready, bool)
    LMLiteBlock(model="conduit/tiny")  # type: ignore[call-arg]
    assert_type(VllmBlock("a/b", routing=Routing("prefix", hedge_after_s=2)).model_ids, tuple[str, ...])
    LMLite("a/b", routing="least_tokens")
    LMLite("a/b", routing="random")  # type: ignore[arg-type]
    ModelConfig("m", engine="openai", url="http://127.0.0.1:11434/v1", api_key_variable="KEY")
    ModelConfig("m", engine="vllm", engine_command=["python", "-m", "vllm"], engine_args=("--x",))
    ModelConfig("m", engine="llama")  # type: ignore[arg-type]
    with override(lm=FakeLM()) as fake:
        assert_type(fake, FakeLM)
    error: type[Exception] = ConduitError
    del error
