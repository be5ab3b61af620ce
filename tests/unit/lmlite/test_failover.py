import asyncio
import time

import anyio
import pytest
from pydantic import SecretStr

from conduit.errors import NoReplica, Overloaded, ReplicaLost, RequestRefused, RequestTimeout
from conduit.lmlite.replicas.failover import Journey
from conduit.lmlite.replicas.hedging import claim
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool, Replica

WHAT = Routable("m")


class Scene:
    """A pool, and attempts that do what a script says of each replica."""

    def __init__(self, names="ab", **script):
        self.pool = Pool([Replica(name, f"http://{name}", SecretStr("t")) for name in names])
        self.script = script
        self.asked = ""
        self.handed_out = []
        self.ended = []

    async def attempt(self, replica):
        name = replica.node_id
        self.asked += name
        try:
            return await self.script[name]()
        finally:
            self.ended.append(name)

    def begun(self):
        return bool(self.handed_out)

    async def hand_out(self, piece):
        await claim()
        self.handed_out.append(piece)

    async def send(self, *, within_s=5.0, hedge_after_s=None):
        sent = []
        journey = Journey(
            self.pool,
            WHAT,
            self,
            deadline=None if within_s is None else time.monotonic() + within_s,
            hedge_after_s=hedge_after_s,
            sent=lambda _: sent.append(1),
        )
        return await journey.run(), len(sent)


def says(result, after_s=0.0):
    async def attempt():
        await anyio.sleep(after_s)
        return result

    return attempt


def raises(error):
    async def attempt():
        raise error

    return attempt


async def hangs():
    await anyio.sleep_forever()


def run(scene, **options):
    return asyncio.run(scene.send(**options))


def test_every_attempt_is_told_of():
    assert run(Scene(a=raises(ReplicaLost("cut")), b=says("ok"))) in (("ok", 2), ("ok", 3))


def test_a_request_on_a_replica_that_turns_dead_goes_elsewhere_at_once():
    scene = Scene(a=hangs, b=says("ok"))

    async def story():
        sending = asyncio.create_task(scene.send(within_s=None))
        await asyncio.sleep(0.01)
        scene.pool.refused(scene.pool.replicas[0])
        return await asyncio.wait_for(sending, 5)

    assert asyncio.run(story()) == ("ok", 2)
    assert scene.ended == ["a", "b"]


def test_one_that_has_handed_something_out_is_lost_and_not_repeated():
    async def begins():
        await scene.hand_out("x")
        await hangs()

    scene = Scene(a=begins, b=says("ok"))

    async def story():
        sending = asyncio.create_task(scene.send())
        await asyncio.sleep(0.01)
        scene.pool.refused(scene.pool.replicas[0])
        await asyncio.wait_for(sending, 5)

    with pytest.raises(ReplicaLost, match="died"):
        asyncio.run(story())
    assert scene.asked == "a"


def test_the_deadline_ends_attempts_and_gives_their_leases_back():
    scene = Scene("a", a=hangs)
    with pytest.raises(RequestTimeout, match=r"0\.05 s"):
        run(scene, within_s=0.05)
    assert scene.pool.outstanding == 0
    assert scene.pool.breaker(scene.pool.replicas[0]) == "closed"


def test_a_caller_that_leaves_takes_its_attempt_with_it():
    scene = Scene("a", a=hangs)

    async def story():
        sending = asyncio.create_task(scene.send(within_s=None))
        await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()

    asyncio.run(story())
    assert scene.ended == ["a"]
    assert scene.pool.outstanding == 0


def test_a_retry_after_beyond_the_deadline_is_not_waited_for():
    scene = Scene("a", a=raises(Overloaded("full", retry_after_s=60.0)))
    with pytest.raises(Overloaded):
        run(scene, within_s=2.0)
    assert scene.asked == "a"


def test_each_full_replica_is_asked_again_at_its_own_time():
    answers = iter([raises(Overloaded("full", retry_after_s=0.02)), says("ok")])

    async def first_full():
        return await next(answers)()

    scene = Scene(a=first_full, b=raises(Overloaded("full", retry_after_s=60.0)))
    assert run(scene) == ("ok", 3)
    assert scene.asked.count("b") == 1


def test_while_all_are_starting_a_request_waits_for_one():
    scene = Scene("a", a=says("ok"))
    [a] = scene.pool.replicas
    scene.pool.reported(a, {"m": "starting"}, {})

    async def story():
        sending = asyncio.create_task(scene.send())
        await asyncio.sleep(0.02)
        assert scene.asked == ""
        scene.pool.reported(a, {"m": "ready"}, {})
        return await sending

    assert asyncio.run(story()) == ("ok", 1)


def test_a_refusal_is_not_tried_elsewhere():
    scene = Scene(a=raises(RequestRefused("no")), b=says("ok"))
    with pytest.raises(RequestRefused):
        run(scene)
    assert scene.asked == "a"


def test_a_pool_that_closes_has_no_replica():
    scene = Scene("a", a=says("ok"))

    async def story():
        await scene.pool.close(0)
        await scene.send()

    with pytest.raises(NoReplica):
        asyncio.run(story())


def test_an_error_that_is_none_of_ours_passes_and_gives_the_lease_back():
    scene = Scene("a", a=raises(KeyError("bug")))
    with pytest.raises(KeyError):
        run(scene)
    assert scene.pool.outstanding == 0


def test_without_hedging_only_one_replica_is_asked():
    scene = Scene(a=says("slow", 0.1), b=says("quick"))
    assert run(scene) == ("slow", 1)


def test_hedging_asks_a_second_replica_and_the_first_to_begin_wins():
    scene = Scene(a=hangs, b=says("quick"))
    assert run(scene, hedge_after_s=0.01) == ("quick", 2)
    assert sorted(scene.ended) == ["a", "b"]
    assert scene.pool.outstanding == 0


def test_hedging_asks_no_second_one_when_the_first_is_quick():
    scene = Scene(a=says("quick"), b=hangs)
    assert run(scene, hedge_after_s=1.0) == ("quick", 1)


def test_of_two_that_hand_out_only_one_does():
    async def pieces():
        await anyio.sleep(0.03)
        for piece in range(5):
            await scene.hand_out(piece)
            await anyio.sleep(0.01)
        return "done"

    scene = Scene(a=pieces, b=pieces)
    assert run(scene, hedge_after_s=0.01)[0] == "done"
    assert scene.handed_out == [0, 1, 2, 3, 4]
    assert sorted(scene.asked) == ["a", "b"]


def test_a_hedged_attempt_that_fails_leaves_the_other_to_answer():
    scene = Scene(a=says("slow", 0.1), b=raises(RequestRefused("no")))
    assert run(scene, hedge_after_s=0.01)[0] == "slow"


def test_when_both_hedged_attempts_fail_the_error_is_told():
    scene = Scene(a=raises(NoReplica("none")), b=raises(NoReplica("none")))
    with pytest.raises(NoReplica):
        run(scene, hedge_after_s=0.01)
    assert scene.pool.outstanding == 0


def test_hedging_with_one_replica_waits_for_it():
    scene = Scene("a", a=says("ok", 0.05))
    assert run(scene, hedge_after_s=0.01) == ("ok", 1)
