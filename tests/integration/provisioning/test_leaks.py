"""Controllers that are really killed, and pods that are processes; ``bench/leak_matrix.py`` has all of it."""

import pytest

from support.leak_cells import CAREFUL, NAIVE, run_row


@pytest.mark.parametrize(
    ("fault", "phase"), [("hangs after creating", "provision"), ("204 but alive", "destroy")]
)
def test_killed_on_the_way_nothing_is_left_after_the_next_reconciliation(fault, phase):
    outcome = run_row(fault, phase, CAREFUL, every=5)
    assert outcome.problems == []
    assert outcome.cells >= 3
    assert outcome.holds


def test_what_this_is_about_does_happen_to_a_careless_program():
    assert run_row("500 after creating", "provision", NAIVE, every=3).leaked > 0
