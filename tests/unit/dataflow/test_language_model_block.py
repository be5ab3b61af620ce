"""``@lm.block``: functions without a body, answered in the model's place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from conduit import LMLite, ModelConfig, block, override
from conduit.dataflow import ItemFailure
from conduit.errors import (
    BlockDefinitionError,
    BlockInputError,
    ExampleInvalid,
    MapFailed,
    ModelNotFound,
    OutputInvalid,
)
from conduit.runtime import LMLiteBlock, VllmBlock
from conduit.testing import FakeLM

lm = LMLite(models=[ModelConfig("conduit/tiny", max_model_concurrency=4)], replicas=2)


@dataclass
class Ticket:
    category: Literal["billing", "bug"]
    urgent: bool


@lm.block
def triage(message: str, hint: str = "none") -> Ticket:
    """Classify a support message."""


@lm.block
async def atriage(message: str) -> Ticket:
    """Classify a support message."""


class Desk:
    @lm.block
    def judge(self, message: str) -> Ticket:
        """Classify a support message."""
        raise NotImplementedError


def answering(**arguments: Any) -> Ticket:
    return Ticket("bug" if "crash" in arguments["message"] else "billing", urgent=True)


def test_the_model_answers_with_a_value_of_the_return_type() -> None:
    with override(lm=FakeLM({"triage": answering})) as fake:
        assert triage("a crash") == Ticket("bug", urgent=True)
    request = fake.calls[0]
    assert request.block == "triage"
    assert request.values == {"message": "a crash", "hint": "none"}
    assert "Classify a support message." in request.messages[0]["content"]
    assert request.schema["properties"]["category"] == {"enum": ["billing", "bug"]}


def test_async_functions_and_methods_work_alike() -> None:
    with override(lm=FakeLM(lambda _: Ticket("bug", urgent=False))) as fake:
        assert asyncio.run(atriage("a")).category == "bug"
        assert Desk().judge("a").category == "bug"
        assert asyncio.run(atriage.map(["a", "b"])) == [Ticket("bug", urgent=False)] * 2
    assert [set(request.values) for request in fake.calls] == [{"message"}] * 4


def test_map_asks_once_for_each_item_in_order() -> None:
    messages = ["a crash", "a bill", "another crash"] * 5
    with override(lm=FakeLM({"triage": answering})) as fake:
        tickets = triage.map(messages, batch=4, hint="h")
    assert [t.category for t in tickets] == ["bug", "billing", "bug"] * 5
    assert len(fake.calls) == 15
    assert {request.values["hint"] for request in fake.calls} == {"h"}


@pytest.mark.parametrize("concurrency", [None, 1, 4])
def test_what_a_map_asks_is_batch_work_also_from_within_other_blocks(concurrency: int | None) -> None:
    @block
    def routed(message: str) -> str:
        return triage(message).category

    @block
    async def arouted(message: str) -> str:
        return (await atriage(message)).category

    with override(lm=FakeLM(lambda _: Ticket("bug", urgent=False))) as fake:
        triage.map(["a", "b"], batch=1)
        asyncio.run(atriage.map(["a", "b"]))
        routed.map(["a", "b"], concurrency=concurrency)
        asyncio.run(arouted.map(["a", "b"]))
        assert [request.flex for request in fake.calls] == [True] * 8
        assert triage("c").category == routed("d") == "bug"
        assert [request.flex for request in fake.calls[8:]] == [False, False]


def test_map_keeps_as_many_requests_under_way_as_the_replicas_take() -> None:
    running, most, full = 0, 0, asyncio.Event()

    async def slow(**_: Any) -> Ticket:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if most == 16:
            full.set()
        await asyncio.wait_for(full.wait(), 30)
        running -= 1
        return Ticket("bug", urgent=False)

    with override(lm=FakeLM({"triage": slow})):
        triage.map(["m"] * 40, batch=8)
    # Two replicas of four at a time, and as many again in their queues.
    assert most == 16


def test_wrong_arguments_reach_no_model() -> None:
    with override(lm=FakeLM()) as fake:
        with pytest.raises(BlockInputError):
            triage(3)
        with pytest.raises(BlockInputError):
            asyncio.run(atriage(3))
    assert fake.calls == []


def test_an_answer_that_never_fits_is_the_items_failure() -> None:
    with override(lm=FakeLM({"triage": lambda **_: FakeLM.raw("nonsense")})):
        with pytest.raises(OutputInvalid):
            triage("a")
        with pytest.raises(MapFailed) as failed:
            triage.map(["a"])
        (failure,) = triage.map(["a"], errors="collect")
    assert isinstance(failed.value.failures[0], OutputInvalid)
    assert isinstance(failure, ItemFailure)
    assert isinstance(failure.error, OutputInvalid)


def test_sampling_options_reach_the_request() -> None:
    @lm.block(temperature=0.5, max_tokens=7, seed=3, retries=1)
    def drawn(message: str) -> Ticket:
        """Classify."""

    with override(lm=FakeLM()) as fake:
        drawn("a")
    sampling = fake.calls[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.seed) == (0.5, 7, 3)
    assert drawn.options.retries == 1


def test_examples_and_reasoning_are_told_to_the_model() -> None:
    @lm.block(
        examples=[({"message": "It burns!"}, Ticket("bug", urgent=True), "Fire is urgent.")], reasoning=True
    )
    def shown(message: str) -> Ticket:
        """Classify."""

    @lm.block(examples=[({"message": 3}, Ticket("bug", urgent=True))])
    def wrong(message: str) -> Ticket:
        """Classify."""

    with override(lm=FakeLM({"shown": FakeLM.thinking("No fire.", Ticket("billing", urgent=False))})) as fake:
        assert shown("a bill") == Ticket("billing", urgent=False)
        with pytest.raises(ExampleInvalid):
            wrong("a bill")
    system = fake.calls[0].messages[0]["content"]
    assert '{"reasoning":"Fire is urgent.","category":"bug","urgent":true}' in system
    assert list(fake.calls[0].schema["properties"]) == ["reasoning", "category", "urgent"]


def test_an_unknown_model_is_refused() -> None:
    @lm.block(model_id="other/model")
    def other(message: str) -> Ticket:
        """Classify."""

    with override(lm=FakeLM()), pytest.raises(ModelNotFound):
        other("a")


def test_raw_asks_the_model_without_validation() -> None:
    with override(lm=FakeLM({"triage": Ticket("bug", urgent=True)})) as fake:
        assert triage.raw(3).category == "bug"
    assert fake.calls[0].values == {"message": 3, "hint": "none"}


def returns(message: str) -> str:
    return message


def returns_a_constant(message: str) -> str:
    return "constant"


def computes(message: str) -> str:
    """Docs."""
    message.upper()


def yields(message: str):
    yield message


def raises(message: str) -> str:
    raise ValueError


def raises_with_a_call(message: str) -> str:
    raise NotImplementedError(message)


def iterator(message: str) -> iter: ...


@pytest.mark.parametrize(
    "function", [returns, returns_a_constant, computes, yields, raises, raises_with_a_call]
)
def test_a_function_with_a_body_is_refused(function: Any) -> None:
    with pytest.raises(BlockDefinitionError, match="has a body") as refused:
        lm.block(function)
    assert "@block" in refused.value.hint


def test_every_way_to_write_no_body_is_taken() -> None:
    def docs(message: str) -> str:
        """Docs."""

    def dots(message: str) -> str: ...

    def passes(message: str) -> str:
        pass

    def not_implemented(message: str) -> str:
        """Docs."""
        raise NotImplementedError

    def not_implemented_call(message: str) -> str:
        raise NotImplementedError("answered by the model")

    async def coroutine(message: str) -> str:
        """Docs."""

    async def coroutine_raises(message: str) -> str:
        raise NotImplementedError

    with override(lm=FakeLM()):
        for function in (docs, dots, passes, not_implemented, not_implemented_call):
            assert isinstance(lm.block(function)("a"), str)
        for function in (coroutine, coroutine_raises):
            assert isinstance(asyncio.run(lm.block(function)("a")), str)


def test_the_documents_resource_starts_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    monkeypatch.setattr(LMLiteBlock, "up", lambda _self, *, wait=True: waits.append(wait))
    provisioned = LMLiteBlock(models=[ModelConfig("conduit/tiny")], replicas=2)
    assert waits == [False]
    assert provisioned.config.replicas == 2
    with override(lm=FakeLM()):
        assert provisioned.ready


def test_a_vllm_block_runs_on_vllm_but_for_models_that_name_another_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LMLiteBlock, "up", lambda _self, *, wait=True: None)
    made = VllmBlock(models=["a/b", ModelConfig("c/d", engine="sglang")])
    assert [model.engine for model in made.config.models] == ["vllm", "sglang"]
    assert LMLite("a/b").config.models[0].engine == "mistralrs"


def test_a_block_is_not_made_twice() -> None:
    with pytest.raises(BlockDefinitionError):
        lm.block(block(returns))
    with pytest.raises(BlockDefinitionError):
        block(triage)


def test_annotations_as_text_may_name_local_types() -> None:
    @dataclass
    class Local:
        urgent: bool

    @lm.block
    def local(message: str) -> Local:
        """Judge."""

    with override(lm=FakeLM()):
        assert isinstance(local("a"), Local)
