"""The laws of provisioning hold whatever fails, dies, or is cut off; ``bench/provisioning_laws.py`` tries more."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from support.provisioning_laws import Laws


def test_nothing_leaks_nothing_is_paid_twice_and_nobody_is_robbed():
    few = settings(max_examples=40, stateful_step_count=15, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Laws, settings=few)
