from hypothesis import given
from hypothesis import strategies as st

from conduit.lmlite.replicas.breaker import Breaker


def failed(breaker, times, now=0.0):
    for _ in range(times):
        breaker.sent(now)
        breaker.failed(now)


def test_it_opens_after_failures_in_a_row():
    breaker = Breaker()
    failed(breaker, 2)
    assert breaker.state(0.0) == "closed"
    failed(breaker, 1)
    assert breaker.state(0.0) == "open"
    assert not breaker.lets_pass(0.0)


def test_an_answer_in_between_keeps_it_closed():
    breaker = Breaker()
    for _ in range(10):
        failed(breaker, 2)
        breaker.answered()
    assert breaker.state(0.0) == "closed"


def test_half_open_it_lets_one_trial_pass_that_closes_it():
    breaker = Breaker()
    failed(breaker, 3)
    assert breaker.state(1.5) == "half-open"
    assert breaker.lets_pass(1.5)
    breaker.sent(1.5)
    assert not breaker.lets_pass(1.5)
    assert breaker.answered()
    assert breaker.state(1.5) == "closed"
    assert not breaker.answered()


def test_a_failed_trial_opens_it_for_twice_as_long():
    breaker = Breaker()
    failed(breaker, 3)
    failed(breaker, 1, now=1.0)
    assert breaker.state(2.9) == "open"
    assert breaker.state(3.1) == "half-open"


def test_a_trial_that_its_caller_gave_up_leaves_room_for_another():
    breaker = Breaker()
    failed(breaker, 3)
    breaker.sent(1.5)
    breaker.left()
    assert breaker.lets_pass(1.5)


def test_what_was_sent_before_it_opened_does_not_prolong_it():
    breaker = Breaker()
    failed(breaker, 3)
    for _ in range(20):
        breaker.failed(0.5)
    assert breaker.state(1.0) == "half-open"


@given(st.lists(st.sampled_from(["failed", "answered", "left"])))
def test_it_always_comes_back_within_half_a_minute(outcomes):
    breaker, now = Breaker(), 0.0
    for outcome in outcomes:
        now += 0.1
        if breaker.lets_pass(now):
            breaker.sent(now)
            getattr(breaker, outcome)(*((now,) if outcome == "failed" else ()))
    assert breaker.lets_pass(now + 30.0)
