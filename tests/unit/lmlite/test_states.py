import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.lmlite.replicas.states import Limits, ReplicaState, Vitals

LIMITS = Limits(silent_s=4, stall_s=10, canary_s=2)
READY = {"m": "ready"}


def vitals(**options):
    return Vitals(0.0, ready=True, limits=LIMITS, **options)


def report(it, now, progress=0, said="ready", **options):
    it.reported({"m": said}, {"m": progress}, now, **options)


def test_it_starts_until_its_server_says_otherwise():
    it = Vitals(0.0, limits=LIMITS)
    assert it.state("m") is ReplicaState.STARTING
    report(it, 1.0)
    assert it.state("m") is ReplicaState.READY


def test_an_answer_without_models_is_not_ready():
    it = vitals()
    it.unreadable(1.0)
    assert it.state("m") is ReplicaState.STARTING


@pytest.mark.parametrize(
    ("said", "expected"), [("starting", "starting"), ("ready", "ready"), ("busy", "busy"), ("failed", "dead")]
)
def test_each_model_has_the_state_that_its_server_says(said, expected):
    it = vitals()
    it.reported({"m": said, "other": "ready"}, {}, 1.0)
    assert (it.state("m"), it.state("other"), it.state()) == (expected, "ready", "ready")


def test_draining_takes_nothing():
    it = vitals()
    report(it, 1.0, draining=True)
    assert it.state("m") is ReplicaState.DRAINING
    assert not it.state("m").takes_requests


def test_a_refused_connection_is_death_until_it_answers():
    it = vitals()
    it.refused()
    assert it.state("m") is ReplicaState.DEAD
    assert "connections" in it.reason
    report(it, 1.0)
    assert it.state("m") is ReplicaState.READY


def test_one_unanswered_question_is_busy_and_two_over_a_while_are_death():
    it = vitals()
    it.unanswered(3.0)
    assert it.state("m") is ReplicaState.BUSY
    it.unanswered(5.0)
    assert it.state("m") is ReplicaState.DEAD


def test_after_a_pause_of_this_process_one_unanswered_question_is_no_death():
    it = vitals()
    it.unanswered(3600.0)
    assert it.state("m") is ReplicaState.BUSY


def test_bytes_keep_one_alive_that_does_not_answer_questions():
    it = vitals()
    it.began("m", 0.0)
    for now in range(1, 60, 3):
        it.unanswered(float(now))
        it.sign(now + 1.0, "m")
        it.unanswered(now + 2.0)
        assert it.state("m").takes_requests


def test_requests_without_a_sign_call_for_one_canary():
    it = vitals()
    it.began("m", 0.0)
    assert it.stalled(9.0) == []
    assert it.stalled(10.0) == ["m"]
    it.canary_sent("m", 10.0)
    assert it.stalled(11.0) == []
    assert it.state("m") is ReplicaState.BUSY


def test_a_replica_without_requests_never_stalls():
    it = vitals()
    it.began("m", 0.0)
    it.ended("m", 1.0)
    assert it.stalled(1000.0) == []


def test_an_answered_canary_is_busy_and_asked_again_after_a_while():
    it = vitals()
    it.began("m", 0.0)
    it.canary_sent("m", 10.0)
    it.canary_answered("m", 11.0)
    assert it.state("m") is ReplicaState.BUSY
    assert it.stalled(20.0) == []
    assert it.stalled(21.0) == ["m"]
    it.sign(22.0, "m")
    assert it.state("m") is ReplicaState.READY


def test_an_unanswered_canary_is_death_that_further_answers_to_ready_do_not_mend():
    it = vitals()
    it.began("m", 0.0)
    it.canary_sent("m", 10.0)
    it.canary_unanswered("m", 12.0)
    assert it.state("m") is ReplicaState.DEAD
    report(it, 13.0)
    assert it.state("m") is ReplicaState.DEAD
    report(it, 14.0, progress=1)
    assert it.state("m") is ReplicaState.READY


def test_work_that_shows_while_the_canary_waits_saves_it():
    it = vitals()
    it.began("m", 0.0)
    it.canary_sent("m", 10.0)
    report(it, 11.0, progress=5)
    it.canary_unanswered("m", 12.0)
    assert it.state("m") is ReplicaState.READY


def test_growing_progress_is_no_stall():
    it = vitals()
    it.began("m", 0.0)
    for now in range(1, 100):
        report(it, float(now), progress=now)
        assert it.stalled(float(now)) == []


def test_one_stalled_model_does_not_hide_behind_another_that_streams():
    it = vitals()
    it.reported({"a": "ready", "b": "ready"}, {}, 0.0)
    it.began("a", 0.0)
    it.began("b", 0.0)
    it.sign(9.0, "a")
    assert it.stalled(10.0) == ["b"]


EVENTS = st.sampled_from(
    "ready working busy starting unreadable refused unanswered sign began ended canary".split()
)


class Driven:
    """A machine that is told random things, as its users may tell them."""

    def __init__(self):
        self.it, self.now, self.progress, self.out, self.canary = vitals(), 0.0, 0, 0, False

    def step(self, event, after):
        self.now += after
        it, now = self.it, self.now
        match event:
            case "ready" | "busy" | "starting":
                report(it, now, self.progress, said=event)
            case "working":
                self.progress += 1
                report(it, now, self.progress)
            case "unreadable":
                it.unreadable(now)
            case "refused":
                it.refused()
            case "unanswered":
                it.unanswered(now)
            case "sign":
                it.sign(now, "m")
            case "began":
                it.began("m", now)
                self.out += 1
            case "ended" if self.out:
                it.ended("m", now)
                self.out -= 1
            case "canary" if self.canary:
                it.canary_unanswered("m", now)
                self.canary = False
            case "canary" if it.stalled(now):
                it.canary_sent("m", now)
                self.canary = True


@given(st.lists(st.tuples(EVENTS, st.floats(0, 20))))
def test_laws_of_the_states(events):
    driven = Driven()
    for event, after in events:
        dead_before = driven.it.state() is ReplicaState.DEAD
        driven.step(event, after)
        state = driven.it.state("m")
        assert state is driven.it.state("m"), "looking changes nothing"
        assert (driven.it.reason is None) == (driven.it.state() is not ReplicaState.DEAD)
        if event == "refused":
            assert state is ReplicaState.DEAD
        if event == "working":
            assert state is ReplicaState.READY, "work is life"
        if event in ("unreadable", "starting") and not dead_before:
            assert not state.takes_requests
        if event in ("began", "ended", "sign", "ready", "busy", "starting") and not dead_before:
            assert state is not ReplicaState.DEAD, "only silence, refusal and a lost canary are death"


@given(st.lists(st.floats(0, 3.9), min_size=1))
def test_one_that_answers_often_enough_never_dies(pauses):
    driven = Driven()
    for pause in pauses:
        driven.step("unanswered", pause)
        assert driven.it.state("m").takes_requests
        driven.step("ready", 0.0)


@given(st.floats(4, 100), st.integers(2, 5))
def test_silence_that_lasts_is_always_found(last, questions):
    it = vitals()
    for question in range(questions):
        it.unanswered(last * (question + 1) / questions)
    assert it.state("m") is ReplicaState.DEAD
