"""Typed streams: growing partial values, and the validated value at the end."""

import asyncio
import threading
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

import anyio
import anyio.to_thread
import pytest

from conduit.errors import ArgumentInvalid, ConduitError, OutputInvalid, OutputRefused, OutputTruncated
from conduit.lmlite import LMLiteResource, override
from conduit.mdl import Partial
from conduit.testing import FakeLM


@dataclass
class Ticket:
    summary: str
    urgent: bool


TICKET = Ticket("the coffee grinder stopped", urgent=True)


@pytest.fixture
def lm():
    return LMLiteResource("no/such-model")


def collected(stream):
    async def read():
        return [event async for event in stream]

    return asyncio.run(read())


@pytest.mark.parametrize("form", ["stream", "astream"])
def test_partial_values_grow_and_the_last_event_is_the_value(lm, form):
    with override(lm=FakeLM({"Ticket": TICKET})):
        events = list(lm.stream(output=Ticket)) if form == "stream" else collected(lm.astream(output=Ticket))
    *partials, last = events
    assert last == TICKET
    assert len(partials) > 3
    assert all(isinstance(partial, Partial) for partial in partials)
    seen = [partial.value.get("summary", "") for partial in partials]
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    assert partials[-1].value == {"summary": TICKET.summary, "urgent": True}


def test_any_type_can_be_streamed(lm):
    with override(lm=FakeLM(lambda _: ["a", "b"])):
        *partials, last = lm.stream(output=list[str], guidance="Name two letters.")
    assert last == ["a", "b"]
    assert ["a"] in [partial.value for partial in partials]


def test_an_answer_that_does_not_fit_is_streamed_again_as_the_next_attempt(lm):
    bad = FakeLM.raw('{"summary": "the coffee", "urgent": "perhaps not"}')
    with override(lm=FakeLM({"Ticket": [bad, TICKET]})) as fake:
        *partials, last = lm.stream(output=Ticket)
    assert last == TICKET
    attempts = [partial.attempt for partial in partials]
    assert set(attempts) == {1, 2}
    assert attempts == sorted(attempts)
    first_of_second = next(partial for partial in partials if partial.attempt == 2)
    assert len(first_of_second.value.get("summary", "")) < 5
    assert "urgent" in fake.calls[1].messages[3]["content"]


def test_after_all_attempts_the_reader_gets_the_error(lm):
    with override(lm=FakeLM({"Ticket": FakeLM.raw("{}")})) as fake, pytest.raises(OutputInvalid) as caught:
        list(lm.stream(output=Ticket))
    assert len(fake.calls) == caught.value.attempts == 3


def test_a_truncated_stream_ends_with_what_was_readable(lm):
    cut = FakeLM.raw('{"summary": "the coffee grin', finish_reason="length")
    seen = []
    with override(lm=FakeLM({"Ticket": cut})) as fake, pytest.raises(OutputTruncated) as caught:
        seen.extend(lm.stream(output=Ticket))
    assert caught.value.partial == {"summary": "the coffee grin"}
    assert len(fake.calls) == 1


def test_a_refused_stream_shows_nothing_and_tells_the_words(lm):
    with override(lm=FakeLM({"Ticket": FakeLM.refusal("No.")})), pytest.raises(OutputRefused) as caught:
        list(lm.stream(output=Ticket))
    assert caught.value.raw == "No."


def test_thinking_before_a_streamed_value_is_not_shown(lm):
    text = '<think>{"summary": "not this"}</think>{"summary": "this", "urgent": false}'
    with override(lm=FakeLM({"Ticket": FakeLM.raw(text)})):
        *partials, last = lm.stream(output=Ticket)
    assert last == Ticket("this", urgent=False)
    assert not [partial for partial in partials if "not" in partial.value.get("summary", "")]


def test_a_value_in_the_reasoning_channel_ends_the_stream_all_the_same(lm):
    misplaced = FakeLM.thinking('{"summary": "s", "urgent": true}', FakeLM.raw(""))
    with override(lm=FakeLM({"Ticket": misplaced})):
        assert list(lm.stream(output=Ticket)) == [Ticket("s", urgent=True)]


def test_nothing_is_asked_before_the_first_event_is(lm):
    with override(lm=FakeLM({"Ticket": TICKET})) as fake:
        stream = lm.stream(output=Ticket)
        assert isinstance(stream, Generator)
        assert fake.calls == []
        next(stream)
        assert len(fake.calls) == 1
        stream.close()


def test_arguments_are_refused_at_the_call(lm):
    with override(lm=FakeLM()):
        with pytest.raises(ArgumentInvalid):
            lm.stream(output=Ticket, messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(ArgumentInvalid):
            lm.astream(input=TICKET)
        with pytest.raises(ArgumentInvalid, match="reasoning"):
            lm.stream(reasoning=True)


@pytest.mark.parametrize("form", ["stream", "astream"])
def test_leaving_a_stream_cancels_the_request(lm, form):
    bad = FakeLM.raw('{"summary": "the coffee grinder", "urgent": 3.5}')
    asked_again, cancelled = threading.Event(), threading.Event()

    async def answer(request):
        if len(fake.calls) == 1:
            return bad
        asked_again.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async def read_one():
        stream = lm.astream(output=Ticket)
        await anext(stream)
        assert await anyio.to_thread.run_sync(asked_again.wait, 10)
        await stream.aclose()

    with override(lm=FakeLM(answer)) as fake:
        if form == "stream":
            stream = lm.stream(output=Ticket)
            next(stream)
            assert asked_again.wait(10)
            stream.close()
        else:
            asyncio.run(read_one())
        assert cancelled.wait(10)


def test_a_stream_is_refused_on_conduits_own_loop(lm):
    def answer(request):
        return list(lm.stream(output=Ticket))

    with override(lm=FakeLM(answer)), pytest.raises(ConduitError, match="event loop"):
        lm(output=Ticket)
