"""Blocks that a model answers with a stream, and streams that ordinary blocks pass on."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

import pytest

from conduit import LMLite, ModelConfig, block, mdl, override
from conduit.dataflow import AsyncStreamBlock, GeneratorBlock, ItemFailure, StreamBlock
from conduit.errors import BlockDefinitionError, BlockInputError, MapFailed, OutputInvalid
from conduit.mdl import Partial
from conduit.testing import FakeLM

lm = LMLite(models=[ModelConfig("conduit/tiny", max_model_concurrency=4)])


@dataclass
class Ticket:
    summary: str
    urgent: bool


@lm.block
def triage(message: str, hint: str = "none") -> mdl.Stream[Ticket]:
    """Classify a support message."""


@lm.block(temperature=0.5)
def letters(count: int) -> Iterator[Partial[list[str]] | list[str]]:
    """Name letters."""


@lm.block
def atriage(message: str) -> mdl.AsyncStream[Ticket]:
    """Classify a support message."""


class Desk:
    @lm.block
    def judge(self, message: str) -> mdl.Stream[Ticket]:
        """Classify a support message."""


@block
def passed_on(message: str) -> mdl.Stream[Ticket]:
    yield from lm.stream(input=message, output=Ticket)


@block
def returned(message: str) -> Iterator[Partial[Ticket] | Ticket]:
    return lm.stream(input=message, output=Ticket)


def answering(**arguments: Any) -> Ticket:
    return Ticket(arguments["message"], urgent=True)


def events_of(stream: Any) -> tuple[list[Partial[Any]], Any]:
    *partials, last = stream
    assert all(isinstance(partial, Partial) for partial in partials)
    return partials, last


def collected(stream: AsyncIterator[Any]) -> tuple[list[Partial[Any]], Any]:
    async def read() -> list[Any]:
        return [event async for event in stream]

    return events_of(asyncio.run(read()))


def test_a_stream_block_gives_partial_values_and_then_the_value() -> None:
    with override(lm=FakeLM({"triage": answering})) as fake:
        stream = triage("a crash", hint="h")
        assert isinstance(stream, GeneratorType)
        assert fake.calls == []
        partials, last = events_of(stream)
    assert last == Ticket("a crash", urgent=True)
    assert len(partials) > 1
    (request,) = fake.calls
    assert (request.block, request.values) == ("triage", {"message": "a crash", "hint": "h"})
    assert set(request.schema["properties"]) == {"summary", "urgent"}
    assert request.output is Ticket


def test_the_prompt_is_that_of_a_block_that_gives_the_value() -> None:
    def triage(message: str) -> Ticket:
        """Classify a support message."""

    @lm.block
    def streamed(message: str) -> mdl.Stream[Ticket]:
        """Classify a support message."""

    with override(lm=FakeLM()) as fake:
        list(streamed("a"))
        lm.block(triage)("a")
    assert fake.calls[0].messages == fake.calls[1].messages
    assert fake.calls[0].response_format == fake.calls[1].response_format


def test_async_blocks_methods_and_other_types_stream_alike() -> None:
    with override(lm=FakeLM({"judge": answering, "atriage": answering})):
        assert events_of(Desk().judge("b"))[1].summary == "b"
        partials, last = collected(atriage("c"))
        assert (last.summary, len(partials) > 1) == ("c", True)
    with override(lm=FakeLM(lambda _: ["a", "b"])) as fake:
        assert events_of(letters(2))[1] == ["a", "b"]
    assert fake.calls[0].sampling.temperature == 0.5


def test_submit_and_map_give_the_values() -> None:
    messages = ["a", "b", "c"] * 5
    with override(lm=FakeLM({"triage": answering, "atriage": answering})) as fake:
        assert [ticket.summary for ticket in triage.map(messages, batch=4)] == messages
        assert triage.submit("a").result(10) == Ticket("a", urgent=True)
        assert [ticket.summary for ticket in asyncio.run(atriage.map(messages))] == messages
        assert atriage.submit("b").result(10).summary == "b"
    assert len(fake.calls) == 32


def test_an_answer_that_never_fits_fails_the_stream_and_the_item() -> None:
    with override(lm=FakeLM({"triage": FakeLM.raw("{}")})):
        with pytest.raises(OutputInvalid, match=r"^triage: "):
            list(triage("a"))
        with pytest.raises(MapFailed):
            triage.map(["a"])
        (failure,) = triage.map(["a"], errors="collect")
    assert isinstance(failure, ItemFailure)


def test_wrong_arguments_are_refused_at_the_call() -> None:
    with override(lm=FakeLM()) as fake:
        with pytest.raises(BlockInputError):
            triage(3)
        with pytest.raises(BlockInputError):
            atriage(3)
    assert fake.calls == []


def test_raw_streams_without_validated_arguments() -> None:
    with override(lm=FakeLM()) as fake:
        list(triage.raw(3))
    assert fake.calls[0].values == {"message": 3, "hint": "none"}


def test_the_classes_are_told_by_the_annotation() -> None:
    assert isinstance(triage, StreamBlock)
    assert isinstance(letters, StreamBlock)
    assert isinstance(atriage, AsyncStreamBlock)
    assert isinstance(passed_on, GeneratorBlock)
    assert isinstance(returned, GeneratorBlock)


def test_ordinary_blocks_pass_streams_on() -> None:
    with override(lm=FakeLM({"Ticket": Ticket("s", urgent=False)})):
        for passing in (passed_on, returned):
            partials, last = events_of(passing("a"))
            assert len(partials) > 1
            assert last == Ticket("s", urgent=False)


def test_a_stream_block_travels_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(triage)) == triage


def test_annotations_that_are_no_texts_work_too() -> None:
    def letter(count: int): ...

    letter.__annotations__ = {"count": int, "return": mdl.Stream[list[int]]}
    with override(lm=FakeLM(lambda _: [1])):
        assert events_of(lm.block(letter)(1))[1] == [1]


def test_local_types_may_be_streamed() -> None:
    @dataclass
    class Local:
        urgent: bool

    @lm.block
    def local(message: str) -> mdl.Stream[Local]:
        """Judge."""

    with override(lm=FakeLM()):
        assert events_of(local("a"))[1] == Local(urgent=False)


def items(message: str) -> Iterator[Ticket]: ...
def aitems(message: str) -> AsyncIterator[Ticket]: ...
def bare(message: str) -> Iterator: ...


@pytest.mark.parametrize("function", [items, aitems, bare])
def test_an_iterator_of_items_is_refused_with_what_to_write(function: Callable[..., Any]) -> None:
    with pytest.raises(BlockDefinitionError, match="iterator") as refused:
        lm.block(function)
    assert "mdl.Stream[T]" in refused.value.hint
    assert "list[T]" in refused.value.hint


def test_a_stream_without_its_value_is_refused() -> None:
    @lm.block
    def partials(message: str) -> Iterator[Partial[Ticket]]:
        """Judge."""

    with override(lm=FakeLM()), pytest.raises(BlockDefinitionError, match="iterator"):
        list(partials("a"))


def test_an_async_def_of_a_stream_is_refused_with_what_to_write() -> None:
    async def wrong(message: str) -> mdl.AsyncStream[Ticket]:
        """Judge."""

    with pytest.raises(BlockDefinitionError, match="async def") as refused:
        lm.block(wrong)
    assert "`def`" in refused.value.hint


def test_a_stream_takes_neither_retries_nor_a_time_limit() -> None:
    with pytest.raises(BlockDefinitionError, match="neither"):
        triage.with_options(retries=1)
