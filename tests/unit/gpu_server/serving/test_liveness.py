"""Ready, busy and dead, and the pauses between engines, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server.serving.back_off import BackOff
from gpu_server.serving.liveness import Liveness


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def working(stall_timeout_s: float = 120) -> tuple[Liveness, Clock]:
    clock = Clock()
    liveness = Liveness(stall_timeout_s=stall_timeout_s, clock=clock)
    liveness.note(1, has_work=True)
    return liveness, clock


def test_an_engine_that_is_silent_for_a_minute_is_busy_and_not_dead() -> None:
    liveness, clock = working(stall_timeout_s=120)
    for _ in range(60):
        clock.now += 1
        liveness.note(1, has_work=True)
    assert liveness.should_be_asked
    assert liveness.verdict(unanswered=True) == "busy"
    liveness.note(2, has_work=True)
    assert liveness.verdict(unanswered=True) == "ready"


def test_an_engine_that_gets_nothing_done_and_does_not_answer_is_dead_at_the_time_out() -> None:
    liveness, clock = working(stall_timeout_s=120)
    clock.now += 119.9
    assert liveness.verdict(unanswered=True) == "busy"
    clock.now += 0.1
    assert liveness.verdict(unanswered=True) == "dead"
    assert liveness.silent_s == pytest.approx(120)


def test_an_engine_that_answers_is_alive_whatever_its_work_does() -> None:
    liveness, clock = working(stall_timeout_s=10)
    for _ in range(100):
        clock.now += 3
        liveness.note(1, has_work=True)
        assert liveness.should_be_asked
        liveness.answered()
        assert liveness.verdict(unanswered=True) == "ready"


def test_the_time_without_work_does_not_count() -> None:
    liveness, clock = working(stall_timeout_s=10)
    liveness.note(1, has_work=False)
    clock.now += 1000
    assert liveness.silent_s == 0
    liveness.note(1, has_work=True)
    assert not liveness.should_be_asked
    clock.now += 9
    assert liveness.verdict(unanswered=True) == "busy"


@given(
    st.floats(0.1, 1000),
    st.lists(st.tuples(st.floats(0, 300), st.integers(0, 1), st.booleans()), max_size=40),
)
def test_only_silence_with_work_for_the_whole_time_out_kills(
    stall_timeout_s: float, looks: list[tuple[float, int, bool]]
) -> None:
    clock = Clock()
    liveness = Liveness(stall_timeout_s=stall_timeout_s, clock=clock)
    progress, had_work, alive_at = 0, False, clock.now
    for pause_s, more, has_work in looks:
        clock.now += pause_s
        progress += more
        if more or not has_work or not had_work:
            alive_at = clock.now
        had_work = has_work
        liveness.note(progress, has_work=has_work)
        dead = liveness.verdict(unanswered=True) == "dead"
        assert dead == (has_work and clock.now - alive_at >= stall_timeout_s)
        assert liveness.verdict(unanswered=False) == "ready"


def test_the_pause_doubles_up_to_its_limit_and_begins_anew_after_a_good_run() -> None:
    back_off = BackOff()
    assert [back_off.pause_s(3) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off.pause_s(0) == 60
    assert [back_off.pause_s(back_off.ran_well_s), back_off.pause_s(1)] == [1, 2]
