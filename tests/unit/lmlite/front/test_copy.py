"""The law of forwarded streams: however the bytes come, whole events are handed on, and nothing else."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.lmlite.front.relay import copy, separator_of
from conduit.lmlite.replicas.answer import ConnectionBroken

EVENTS = [b'data: {"n": 1}\n\n', b": comment\n\n", b'data: {"text": "a\\nb"}\n\n', b"data: [DONE]\n\n"]


class Upstream:
    def __init__(self, pieces, broken=False):
        self.pieces, self.broken = list(pieces), broken

    async def piece(self):
        if self.pieces:
            return self.pieces.pop(0)
        if self.broken:
            raise ConnectionBroken("gone")
        return b""


class Downstream:
    def __init__(self):
        self.handed, self.ended = [], False

    async def body(self, data, *, more):
        assert not self.ended
        if more:
            self.handed.append(data)
        else:
            self.ended = True


def run(upstream):
    downstream, steps = Downstream(), []

    async def play():
        await copy(upstream, await upstream.piece(), b"\n\n", downstream, lambda: steps.append(1))

    try:
        asyncio.run(play())
    except ConnectionBroken:
        assert not downstream.ended
    assert len(steps) > 0
    return downstream


def cut(data, places):
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


events = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=6).map(b"".join)


@given(events, st.lists(st.integers(0, 120), max_size=12))
def test_what_comes_is_handed_on_in_order_and_ended(data, places):
    downstream = run(Upstream(cut(data, places)))
    assert b"".join(downstream.handed) == data
    assert downstream.ended
    assert all(piece.endswith(b"\n\n") for piece in downstream.handed)


@given(events, st.lists(st.integers(0, 120), max_size=12), st.integers(1, 200))
def test_of_a_stream_that_breaks_only_whole_events_are_handed_on(data, places, length):
    data = data[:length]
    downstream = run(Upstream(cut(data, places), broken=True))
    handed = b"".join(downstream.handed)
    assert data.startswith(handed)
    assert handed == data[: data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0]
    assert downstream.ended == handed.endswith(b"data: [DONE]\n\n")


def test_an_event_without_end_is_not_kept_for_ever():
    downstream = run(Upstream([b"x" * 1_000_000] * 6))
    assert len(downstream.handed) >= 1
    assert sum(map(len, downstream.handed)) == 6_000_000


@pytest.mark.parametrize(
    ("kind", "separator"),
    [
        ("text/event-stream", b"\n\n"),
        ("text/event-stream; charset=utf-8", b"\n\n"),
        ("application/x-ndjson", b"\n"),
        ("application/json", None),
        (None, None),
    ],
)
def test_the_kind_of_an_answer_tells_what_ends_its_parts(kind, separator):
    assert separator_of(kind) == separator
