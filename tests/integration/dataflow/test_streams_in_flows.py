"""Stream blocks in real flows: events pass on as they come, and the task lasts as long as they do."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from conduit import LMLite, block, mdl, override
from conduit.errors import OutputInvalid
from conduit.lmlite import LMRequest, flow_run_id
from conduit.mdl import Partial
from conduit.testing import FakeLM
from support.flow_runs import Runner, plain


@dataclass
class Ticket:
    summary: str
    urgent: bool


lm = LMLite("conduit/tiny")
TICKET = Ticket("the coffee grinder stopped dead", urgent=True)


@lm.block
def triage(message: str) -> mdl.Stream[Ticket]:
    """Classify a support message."""


@lm.block
def atriage(message: str) -> mdl.AsyncStream[Ticket]:
    """Classify a support message."""


@block
def file(ticket: Ticket) -> str:
    return ticket.summary


def test_events_pass_on_and_the_task_completes_with_the_stream(run: Runner) -> None:
    runs, seen = set(), []

    def answer(request: LMRequest) -> Ticket:
        runs.add(flow_run_id.get())
        return TICKET

    def flow() -> str:
        for event in triage("a"):
            seen.append(event)
        return file(event)

    with override(lm=FakeLM(answer)):
        result, known = run(flow)
    assert result == TICKET.summary
    *partials, last = seen
    assert last == TICKET
    assert len(partials) > 1
    assert all(isinstance(partial, Partial) for partial in partials)
    assert {plain(task["name"]): task["state_type"] for task in known.tasks} == {
        "triage": "COMPLETED",
        "file": "COMPLETED",
    }
    assert known.edges() == {("triage", "file")}
    assert runs == {known.tasks[0]["flow_run_id"]}


def test_async_streams_maps_and_submissions(run: Runner) -> None:
    async def flow() -> list[Any]:
        events = [event async for event in atriage("a")]
        return [
            events[-1],
            await atriage.map(["a", "b"]),
            triage.map(["a", "b"]),
            triage.submit("a").result(),
        ]

    with override(lm=FakeLM(lambda _: TICKET)):
        result, known = run(flow)
    assert result == [TICKET, [TICKET] * 2, [TICKET] * 2, TICKET]
    assert known.state == "COMPLETED"
    assert sorted(map(plain, known.names)) == ["atriage", "atriage[0:2]", "triage", "triage[0:2]"]


def test_a_stream_that_ends_without_a_value_fails_its_task(run: Runner) -> None:
    def flow() -> None:
        list(triage("a"))

    with override(lm=FakeLM(lambda _: FakeLM.raw("{}"))):
        error, known = run(flow)
    assert isinstance(error, OutputInvalid)
    assert {task["state_type"] for task in known.tasks} == {"FAILED"}


@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_stream_left_early_cancels_its_request_and_ends_well(run: Runner, form: str) -> None:
    asked_again, cancelled = threading.Event(), threading.Event()

    async def answer(request: LMRequest) -> Any:
        if len(fake.calls) == 1:
            return FakeLM.raw('{"summary": "the coffee", "urgent": 3.5}')
        asked_again.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    def flow() -> bool:
        stream = triage("a")
        assert isinstance(next(stream), Partial)
        assert asked_again.wait(20)
        stream.close()
        return cancelled.wait(20)

    async def aflow() -> bool:
        stream = atriage("a")
        assert isinstance(await anext(stream), Partial)
        assert await asyncio.to_thread(asked_again.wait, 20)
        await stream.aclose()
        return await asyncio.to_thread(cancelled.wait, 20)

    with override(lm=FakeLM(answer)) as fake:
        result, known = run(flow if form == "sync" else aflow)
    assert result is True
    assert {task["state_type"] for task in known.tasks} == {"COMPLETED"}
