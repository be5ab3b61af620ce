"""What calls cost: together as much as the time in which their replica had any."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from conduit.errors import NoReplica, ReplicaLost
from conduit.lmlite.calls.metering import Meter
from conduit.lmlite.replicas.failover import Journey
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.request import LMRequest

WHAT = Routable("m")
USD_PER_HOUR = 3600.0  # a dollar a second


class Clock:
    now = 5.0

    def __call__(self):
        return self.now


def replica(name="a"):
    return Replica(name, f"http://{name}", SecretStr("t"), usd_per_hour=USD_PER_HOUR)


def test_alone_a_request_pays_for_its_time_and_two_share_theirs():
    clock = Clock()
    pool = Pool([replica()], clock=clock)
    first = pool.lease(WHAT)
    clock.now += 2
    second = pool.lease(WHAT)
    clock.now += 4
    first.end("answered")
    clock.now += 1
    second.end("broke")
    assert first.cost_usd == pytest.approx(2 + 4 / 2)
    assert second.cost_usd == pytest.approx(4 / 2 + 1)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 5)), max_size=60))
def test_all_costs_add_up_to_the_price_of_the_time_that_it_was_busy(moments):
    clock = Clock()
    pool = Pool([replica()], clock=clock)
    running, ended, busy_s = [], [], 0.0
    for wait_s, number in moments:
        busy_s += wait_s if running else 0.0
        clock.now += wait_s
        if number < len(running):
            ended.append(running.pop(number))
            ended[-1].end("answered")
        else:
            running.append(pool.lease(WHAT))
    for lease in running:
        lease.end("left")
    assert sum(lease.cost_usd for lease in ended + running) == pytest.approx(busy_s)


def test_a_replica_that_left_the_pool_is_paid_for_what_it_did():
    clock = Clock()
    pool = Pool([replica()], clock=clock)
    lease = pool.lease(WHAT)
    clock.now += 3
    pool.leave(lease.replica)
    lease.end("broke")
    assert lease.cost_usd == pytest.approx(3)


def test_a_call_pays_for_every_attempt_also_for_those_that_failed():
    clock = Clock()
    pool = Pool([replica("a"), replica("b")], clock=clock)
    meter = Meter(LMRequest("m", []), ended=lambda *_: None)

    class Answered:
        async def attempt(self, replica):
            clock.now += 7
            if replica.node_id == "a":
                raise NoReplica("refused")
            return "ok"

        def begun(self):
            return False

    class Lost:
        async def attempt(self, _):
            clock.now += 2
            raise ReplicaLost("gone")

        def begun(self):
            return True

    async def send(sender):
        return await Journey(pool, WHAT, sender, deadline=time.monotonic() + 5, sent=meter.sent).run()

    assert asyncio.run(send(Answered())) == "ok"
    assert meter.cost_usd == pytest.approx(14)
    with pytest.raises(ReplicaLost):
        asyncio.run(send(Lost()))
    assert meter.row(error=None, deployment_key="d").cost_usd == pytest.approx(16)


def test_the_price_is_no_part_of_what_a_replica_is():
    assert replica() == Replica("a", "http://a", SecretStr("t"))
