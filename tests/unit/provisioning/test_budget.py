"""A paid node's whole life is paid for before it is asked for."""

import asyncio

import pytest

from conduit.compute import Offering
from conduit.errors import BudgetExceeded
from conduit.provisioning import Candidate, Terms, budget
from support.controllers import CANDIDATES

HOUR = 3600


def hours(life):
    import time

    return (life.expires_at - time.time()) / HOUR


def test_a_free_node_reserves_nothing_and_lives_as_long_as_it_was_told():
    assert budget.life(Terms(), 0.0) == budget.Life(None, None)
    assert budget.life(Terms(deployment_cap_usd=0.01), 0.0).reserve is None
    assert hours(budget.life(Terms(max_lifetime_s=HOUR), 0.0)) == pytest.approx(1)


def test_a_paid_node_ends_after_a_day_when_nobody_says_when():
    assert hours(budget.life(Terms(), 1.0)) == pytest.approx(24)


@pytest.mark.parametrize(("nodes", "lives"), [(1, 4.0), (2, 2.0), (4, 1.0)])
def test_the_budget_is_shared_by_the_nodes_that_are_to_start(nodes, lives):
    life = budget.life(Terms(deployment_cap_usd=8.0, nodes=nodes), 2.0)
    assert hours(life) == pytest.approx(lives, abs=0.02)
    assert life.reserve.usd <= 8.0 / nodes


def test_the_lower_of_two_caps_counts():
    life = budget.life(Terms(deployment_cap_usd=8.0, owner_cap_usd=2.0), 2.0)
    assert hours(life) == pytest.approx(1, abs=0.02)


def test_what_pays_for_less_than_ten_minutes_is_refused_with_the_numbers():
    with pytest.raises(
        BudgetExceeded, match=r"2 nodes at 3\.00 USD/h .* 1\.10 USD in 10 min.* 0\.90 USD"
    ) as caught:
        budget.life(Terms(deployment_cap_usd=0.9, nodes=2), 3.0)
    assert caught.value.budget_usd == 0.9
    assert caught.value.needed_usd == pytest.approx(1.1)


def test_a_lifetime_that_was_asked_for_is_never_shortened(world):
    terms = Terms(max_lifetime_s=10 * HOUR, deployment_cap_usd=1.0)
    with pytest.raises(BudgetExceeded):
        world.run(world.controller().up("d", terms=terms))
    assert world.living == []
    assert world.states == []


def test_a_node_lives_as_long_as_the_rest_of_the_budget_pays_for(world):
    terms = Terms(owner_cap_usd=4.0)
    world.run(world.controller().up("d", terms=Terms(max_lifetime_s=5 * HOUR, owner_cap_usd=4.0)))
    world.run(world.controller().up("e", terms=terms))
    lives = {r.deployment_key: r.expires_at - r.created_at for r in world.store.nodes()}
    # 4 USD less 5 h at 0.40 USD/h leave 2 USD: another 5 h.
    assert lives["e"] == pytest.approx(5 * HOUR, rel=0.02)


def test_what_an_ended_node_did_not_use_is_free_again_and_what_it_used_is_not(world):
    terms, lives = Terms(deployment_cap_usd=2.0), []
    # 2 USD pay for five hours at 0.40 USD.
    for _ in range(5):
        world.run(world.controller().up("d", terms=terms))
        [record] = world.store.nodes(live=True)
        lives.append((record.expires_at - record.created_at) / HOUR)
        world.wait(HOUR)
        world.run(world.controller().stop("d"))
    assert lives == pytest.approx([5, 4, 3, 2, 1], abs=0.1)
    with pytest.raises(BudgetExceeded, match=r"left of the budget of 2\.00 USD"):
        world.run(world.controller().up("d", terms=terms))
    assert world.cloud.billed_usd(world.owner.id) <= 2.0


def test_of_many_that_start_at_once_the_budget_lets_as_many_pass_as_it_pays_for(world):
    cap = 8.0
    terms = Terms(max_lifetime_s=HOUR - budget.ENDING_S, owner_cap_usd=cap)
    refused = []

    async def one(number):
        try:
            await world.controller(str(number)).up(f"d{number}", terms=terms, candidates=CANDIDATES[:1])
        except BudgetExceeded:
            refused.append(number)

    async def all_at_once():
        await asyncio.gather(*(one(number) for number in range(60)))

    world.run(all_at_once())
    assert len(world.living) == 20  # 8 USD at 0.40 USD
    assert len(refused) == 40


def test_one_that_proves_dearer_than_offered_lives_shorter(world):
    dearer = Candidate({"models": []}, Offering("faulty", "l4", "NVIDIA L4", 1, 22.5, 0.40))
    make = world.cloud.make
    world.cloud.make = lambda spec, **more: make(spec, **more | {"usd_per_hour": 0.80})
    world.run(world.controller().up("d", terms=Terms(max_lifetime_s=2 * HOUR), candidates=[dearer]))
    [record] = world.store.nodes()
    assert record.usd_per_hour == 0.80
    assert record.expires_at - record.created_at == pytest.approx(HOUR, rel=0.02)
