import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.lmlite.replicas.policies import Load, Routable, policy

NAMES = "abcd"


def loads(*requests, tokens=None):
    tokens = tokens or [0] * len(requests)
    return [Load(NAMES[i], i, r, t) for i, (r, t) in enumerate(zip(requests, tokens, strict=True))]


def chosen(name, all_loads, what, times=1):
    chooser = policy(name)
    return "".join(chooser.choose(all_loads, what).node_id for _ in range(times))


PROMPT = Routable("m", b"You are a classifier.", 10)


def test_round_robin_takes_each_in_its_turn():
    assert chosen("round_robin", loads(0, 0, 0), PROMPT, 7) == "abcabca"


def test_least_tokens_takes_the_least_loaded_and_turns_among_equals():
    assert chosen("least_tokens", loads(0, 9, 0, tokens=[50, 10, 90]), PROMPT) == "b"
    assert chosen("least_tokens", loads(0, 0), PROMPT, 4) == "abab"


def test_the_same_beginning_goes_to_the_same_replica():
    assert len(set(chosen("prefix", loads(0, 0, 0), PROMPT, 20))) == 1


def test_beginnings_are_spread_evenly():
    chooser = policy("prefix")
    homes = Counter(
        chooser.choose(loads(0, 0), Routable("m", f"prompt {i}".encode())).node_id for i in range(40)
    )
    assert homes == {"a": 20, "b": 20}


def test_another_model_is_another_beginning():
    chooser = policy("prefix")
    assert {chooser.choose(loads(0, 0), Routable(m, b"x")).node_id for m in ("m1", "m2")} == {"a", "b"}


def test_without_a_beginning_the_least_loaded_takes_it():
    assert chosen("prefix", loads(0, 0, tokens=[5, 0]), Routable("m")) == "b"


def test_an_overloaded_home_is_passed_over_for_that_request_only():
    chooser = policy("prefix")
    home = chooser.choose(loads(0, 0), PROMPT).place
    crowded = [0, 0]
    crowded[home] = 20
    assert chooser.choose(loads(*crowded), PROMPT).place == 1 - home
    assert chooser.choose(loads(0, 0), PROMPT).place == home


def test_when_a_replica_leaves_only_its_beginnings_move():
    chooser, prompts = policy("prefix"), [Routable("m", bytes([i])) for i in range(60)]
    before = {p: chooser.choose(loads(0, 0, 0), p).node_id for p in prompts}
    chooser.forget("b")
    left = [load for load in loads(0, 0, 0) if load.node_id != "b"]
    after = {p: chooser.choose(left, p).node_id for p in prompts}
    assert all(after[p] == home for p, home in before.items() if home != "b")
    assert set(after.values()) == {"a", "c"}


def test_what_is_remembered_is_bounded():
    chooser = policy("prefix")
    for i in range(10_000):
        chooser.choose(loads(0, 0), Routable("m", str(i).encode()))
    assert len(chooser._homes) == 4096
    assert sum(chooser._housed.values()) == 4096


@pytest.mark.parametrize("name", ["round_robin", "least_tokens", "prefix"])
@given(
    requests=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    prefix=st.binary(max_size=3),
    seed=st.integers(),
)
def test_every_policy_chooses_one_of_those_given_and_prefix_no_overloaded_one(name, requests, prefix, seed):
    chooser, draw = policy(name), random.Random(seed)
    for _ in range(5):
        given_loads = draw.sample(loads(*requests), draw.randint(1, len(requests)))
        given_loads.sort(key=lambda load: load.place)
        load = chooser.choose(given_loads, Routable("m", prefix))
        assert load in given_loads
        if name == "prefix" and prefix and len(given_loads) > 1:
            total = sum(each.requests for each in given_loads)
            assert load.requests < max(4, math.ceil(1.25 * (total + 1) / len(given_loads)))
