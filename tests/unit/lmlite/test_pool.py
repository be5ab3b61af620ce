import asyncio
from collections import Counter

import anyio
import pytest
from pydantic import SecretStr

from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.states import Limits, ReplicaState

WHAT = Routable("m", tokens=10)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def replicas(*names):
    return [Replica(name, f"http://{name}", SecretStr("t-" + name)) for name in names]


def pool_of(*names, **options):
    clock = Clock()
    return Pool(replicas(*names), clock=clock, **options), clock


def picks(pool, count, outcome="answered", **options):
    found = ""
    for _ in range(count):
        lease = pool.lease(WHAT, **options)
        found += lease.replica.node_id if lease else "-"
        if lease and outcome:
            lease.end(outcome)
    return found


def test_replicas_take_turns():
    assert picks(pool_of("a", "b", "c")[0], 7) == "abcabca"


def test_a_dead_one_gets_nothing_until_it_answers():
    pool, _ = pool_of("a", "b")
    pool.refused(pool.replicas[0])
    assert picks(pool, 3) == "bbb"
    assert pool.dead() == [pool.replicas[0]]
    pool.reported(pool.replicas[0], {"m": "ready"}, {})
    assert "a" in picks(pool, 30)


def test_with_all_dead_there_is_none():
    pool, _ = pool_of("a")
    pool.refused(pool.replicas[0])
    assert pool.lease(WHAT) is None


def test_those_excluded_are_passed_over():
    assert picks(pool_of("a", "b")[0], 3, without={"a"}) == "bbb"


@pytest.mark.parametrize("said", ["starting", "failed"])
def test_a_model_that_is_not_there_gets_no_traffic_and_the_others_of_its_replica_do(said):
    pool, _ = pool_of("a", "b")
    pool.reported(pool.replicas[0], {"m": said, "other": "ready"}, {})
    assert picks(pool, 3) == "bbb"
    assert pool.lease(Routable("other"), without={"b"}) is not None


def test_a_busy_one_gets_traffic_when_no_other_is_ready():
    pool, _ = pool_of("a", "b")
    pool.reported(pool.replicas[0], {"m": "busy"}, {})
    assert picks(pool, 3) == "bbb"
    assert picks(pool, 2, without={"b"}) == "aa"


def test_draining_gets_no_traffic():
    pool, _ = pool_of("a", "b")
    pool.reported(pool.replicas[0], {"m": "ready"}, {}, draining=True)
    assert picks(pool, 3) == "bbb"


def test_a_storm_of_refusals_opens_no_breaker():
    pool, _ = pool_of("a")
    assert picks(pool, 500, outcome="turned_away") == "a" * 500
    assert pool.breaker(pool.replicas[0]) == "closed"
    assert pool.state(pool.replicas[0]) is ReplicaState.READY


def test_broken_connections_open_the_breaker_and_one_trial_closes_it():
    pool, clock = pool_of("a")
    assert picks(pool, 5, outcome="broke") == "aaa--"
    assert pool.breaker(pool.replicas[0]) == "open"
    clock.now += 1.1
    trial = pool.lease(WHAT)
    assert pool.lease(WHAT) is None
    trial.end("answered")
    assert pool.breaker(pool.replicas[0]) == "closed"
    assert pool.lease(WHAT) is not None


def test_after_a_recovery_the_share_grows():
    pool, clock = pool_of("a", "b")
    pool.refused(pool.replicas[0])
    pool.reported(pool.replicas[0], {"m": "ready"}, {})
    shares = []
    for _ in range(4):
        shares.append(Counter(picks(pool, 100))["a"])
        clock.now += 2.0
    assert shares[0] <= 15
    assert shares == sorted(shares)
    assert shares[-1] == 50


def test_one_that_recovers_alone_gets_all():
    pool, _ = pool_of("a")
    pool.refused(pool.replicas[0])
    pool.reported(pool.replicas[0], {"m": "ready"}, {})
    assert picks(pool, 20) == "a" * 20


def test_what_is_outstanding_is_counted_and_given_back_once():
    pool, _ = pool_of("a", policy_name="least_tokens")
    lease = pool.lease(WHAT)
    assert pool.outstanding == 1
    lease.end("answered")
    lease.end("broke")
    assert pool.outstanding == 0
    assert pool.breaker(pool.replicas[0]) == "closed"


def test_requests_on_a_replica_that_turns_dead_are_taken_away():
    pool, _ = pool_of("a", "b")

    async def scene():
        lease = pool.lease(WHAT)
        with anyio.CancelScope() as lease.scope:
            asyncio.get_running_loop().call_soon(pool.refused, lease.replica)
            await anyio.sleep(5)
        return lease.scope.cancelled_caught

    assert asyncio.run(scene())


def test_a_stalled_replica_is_dead_only_after_its_canary():
    pool, clock = pool_of("a", limits=Limits(stall_s=10))
    [a] = pool.replicas
    pool.lease(WHAT)
    clock.now += 11
    assert pool.stalled(a) == ["m"]
    pool.canary(a, "m", "sent")
    assert pool.state(a) is ReplicaState.BUSY
    pool.canary(a, "m", "unanswered")
    assert pool.dead() == [a]


def test_bytes_of_an_answer_are_no_stall():
    pool, clock = pool_of("a", limits=Limits(stall_s=10))
    pool.lease(WHAT)
    for _ in range(10):
        clock.now += 9
        pool.progressed(pool.replicas[0], "m")
        assert pool.stalled(pool.replicas[0]) == []


def test_replicas_join_and_leave_while_it_is_used():
    pool, clock = pool_of("a")
    [b] = replicas("b")
    pool.join(b)
    pool.join(b)
    clock.now += 10
    assert sorted(set(picks(pool, 4))) == ["a", "b"]
    pool.leave(pool.replicas[0])
    assert picks(pool, 2) == "bb"
    assert pool.state(Replica("a", "", SecretStr("t"))) is ReplicaState.DEAD


def test_a_closing_pool_gives_out_nothing_and_waits_for_what_runs():
    pool, _ = pool_of("a")

    async def scene():
        lease = pool.lease(WHAT)
        closing = asyncio.create_task(pool.close(5))
        await asyncio.sleep(0.01)
        assert not closing.done()
        assert pool.lease(WHAT) is None
        lease.end("answered")
        await asyncio.wait_for(closing, 2)
        slow = Pool(replicas("a"))
        slow.lease(WHAT)
        await asyncio.wait_for(slow.close(0.05), 2)

    asyncio.run(scene())


def test_who_waits_is_woken_when_a_replica_comes_back():
    pool, _ = pool_of("a")
    pool.refused(pool.replicas[0])

    async def scene():
        waiting = asyncio.create_task(pool.change(30))
        await asyncio.sleep(0)
        pool.reported(pool.replicas[0], {"m": "ready"}, {})
        await asyncio.wait_for(waiting, 2)

    asyncio.run(scene())


def test_use_ends_a_while_after_the_last_request():
    pool, clock = pool_of("a")
    clock.now += 31
    assert not pool.in_use()
    lease = pool.lease(WHAT)
    clock.now += 1000
    assert pool.in_use()
    lease.end("answered")
    assert pool.in_use()
    clock.now += 31
    assert not pool.in_use()


def test_a_token_never_shows():
    assert "t-a" not in repr(replicas("a"))
