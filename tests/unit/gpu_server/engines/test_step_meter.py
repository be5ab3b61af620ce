"""Steps are counted from the outside, and processors as the container has them."""

from pathlib import Path

import random_weights
from gpu_server.engines.embedded.cpu import is_small, processors_each, usable_processors
from gpu_server.engines.embedded.step_meter import StepMeter


def test_a_lockstep_batch_is_one_step_a_token() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for length in range(11, 21):
        for sequence in range(5):
            meter.token(sequence, length)
    assert (meter.steps, meter.largest_batch, meter.tokens) == (10, 5, 50)


def test_threads_that_run_a_step_ahead_do_not_add_steps() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    meter.token(1, 11)
    for length in range(12, 21):
        meter.token(1, length)  # always one ahead of the other
        meter.token(2, length - 1)
    meter.token(2, 20)
    assert (meter.steps, meter.largest_batch) == (10, 2)


def test_one_after_the_other_shares_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for sequence in range(3):
        for length in range(11, 15):
            meter.token(sequence, length)
        meter.end(sequence)
    assert (meter.steps, meter.largest_batch) == (12, 1)


def test_sequences_of_different_length_share_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for at in range(4):
        meter.token(1, 11 + at)
        meter.token(2, 51 + at)
    assert (meter.steps, meter.largest_batch) == (8, 1)


def test_the_last_step_of_a_sequence_does_not_wait_for_others() -> None:
    now = 0.0
    meter = StepMeter(clock=lambda: now)
    meter.token(9, 90)  # keeps the meter busy
    meter.token(1, 11)
    meter.end(1)
    now = 0.05
    meter.token(2, 11)
    assert (meter.steps, meter.largest_batch) == (3, 1)


def test_a_straggler_far_behind_shares_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for length in range(11, 20):
        meter.token(1, length)
    for length in range(11, 15):
        meter.token(2, length)
    assert meter.largest_batch == 1


def test_processors_are_those_of_the_container(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    assert usable_processors(quota) >= 1
    quota.write_text("100000 100000\n")
    assert usable_processors(quota) == 1
    quota.write_text("10000 100000\n")
    assert usable_processors(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_processors(quota) >= 1


def test_processors_are_shared_by_the_models_that_need_them(tmp_path: Path) -> None:
    small = random_weights.make(tmp_path)
    assert is_small(small)
    assert not is_small(None)
    assert processors_each([small]) == usable_processors()
    assert processors_each([small, None, None]) == max(1, usable_processors() // 2)
    assert processors_each([None] * 1000) == 1
