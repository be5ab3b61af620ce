import asyncio

from support.replica_chaos import run_seed


def test_under_faults_every_call_ends_rightly_or_in_a_typed_error_and_none_is_answered_twice():
    outcome = asyncio.run(run_seed(5, faults=2))
    assert outcome.faults == ["kill", "freeze"]
    assert outcome.wrong == []
    assert outcome.untyped == []
    assert outcome.holds, outcome
    assert outcome.right > 0
    assert outcome.replaced == 2
