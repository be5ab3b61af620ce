"""What pods cost: the meter, and the buckets of a bill."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.sim.runpod.api.billing import _floor, _next, _Window
from conduit.sim.runpod.meter import Meter

SIZES = ("hour", "day", "week", "month", "year")
moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def test_a_meter_counts_only_while_it_runs_and_at_the_price_of_the_time():
    meter = Meter()
    assert not meter.ran
    meter.start(1000, 3.6)
    meter.stop(1010)
    meter.stop(1020)
    meter.start(2000, 36)
    assert meter.ran
    assert meter.usd(0, 1500) == pytest.approx(0.01)
    assert meter.usd(0, 2010) == pytest.approx(0.01 + 0.1)
    assert meter.usd(1005, 2005) == pytest.approx(0.005 + 0.05)
    assert meter.usd(1500, 1900) == 0


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=8).map(sorted), st.floats(0, 1e6))
def test_parts_of_a_time_sum_to_the_whole(turns, cut):
    meter = Meter()
    for number, at in enumerate(turns):
        (meter.stop if number % 2 else lambda now: meter.start(now, 2.0))(at)
    whole = meter.usd(0, 2e6)
    assert meter.usd(0, cut) + meter.usd(cut, 2e6) == pytest.approx(whole)


@given(moments, st.sampled_from(SIZES))
def test_a_bucket_holds_its_time_and_ends_where_the_next_one_begins(at, size):
    start = _floor(at, size)
    assert start <= at < _next(start, size)
    assert _floor(start, size) == start
    assert _floor(_next(start, size), size) == _next(start, size)


@given(moments, st.floats(0, 400 * 86400), st.sampled_from(("day", "week", "month", "year")))
def test_buckets_cover_a_life_without_gap(born, seconds, size):
    since, until = born.timestamp(), born.timestamp() + seconds
    window = _Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC), size)
    buckets = list(window.buckets(since, until))
    assert all(one[1] == other[0] for one, other in itertools.pairwise(buckets))
    if seconds:
        assert buckets[0][0].timestamp() <= since
        assert buckets[-1][1].timestamp() >= until
