"""Rows of the run log go when their time is over, a few at a time; ledgers and what was paid stay."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import pytest

from conduit.store import BlockCall, CallState, FlowRun, ModelCall, NodeState, Store
from unit.store.test_ledgers import ROW

DAY = 24 * 3600.0


def fill(store: Store, *, age_days: float, count: int = 3) -> None:
    at = time.time() - age_days * DAY
    for number in range(count):
        store.log_block_call(BlockCall(f"{age_days}-{number}", "m:f", at, 0.1, CallState.DONE, "run"))
        store.log_call(ModelCall(at, "m", flow_run_id="run", deployment_key="key", cost_usd=0.5))
    store.put_flow_run(FlowRun(f"r{age_days}", "inbox", "name", at))
    assert store.flush()


def rows(store: Store) -> tuple[int, int, int]:
    calls = store.block_calls(limit=999), store.model_calls(limit=999), store.flow_runs(limit=999)
    return len(calls[0]), len(calls[1]), len(calls[2])


@pytest.fixture
def keeping(url: str):
    """A store that keeps rows for so many days."""
    made = []

    def open_(days: float, project: str = "p") -> Store:
        made.append(Store(url, project=project, keep_days=days))
        return made[-1]

    yield open_
    for store in made:
        store.close()


def test_rows_whose_time_is_over_are_removed_and_younger_ones_stay(keeping):
    store = keeping(30)
    fill(store, age_days=31)
    fill(store, age_days=29)
    assert rows(store) == (3, 3, 1)


def test_nothing_is_removed_when_rows_are_to_stay_for_ever(keeping):
    store = keeping(0)
    fill(store, age_days=10_000)
    assert rows(store) == (3, 3, 1)


def test_only_so_many_rows_are_removed_at_a_time(keeping, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("conduit.store.store._REMOVED_AT_ONCE", 2)
    monkeypatch.setattr("conduit.store.store._GO_ON_S", 0.0)
    store = keeping(30)
    fill(store, age_days=31, count=5)
    assert rows(store)[:2] == (3, 3)
    fill(store, age_days=1, count=1)
    fill(store, age_days=1.5, count=1)
    assert rows(store)[:2] == (2, 2), "all that was old is gone, what was added stays"


def test_ledgers_and_other_projects_rows_stay(keeping):
    store, other = keeping(1), keeping(0, project="q")
    fill(other, age_days=50)
    store.ledger_put([replace(ROW, finished_at=1.0)])
    fill(store, age_days=40)
    assert (rows(store)[0], rows(other)[0], len(store.ledger_rows("tickets", limit=9))) == (0, 3, 1)


def test_what_calls_cost_is_known_when_their_rows_are_gone(keeping):
    store = keeping(30)
    store.put_deployment("key", project="p", owner="o", provider="local", spec={})
    store.add_intent("n1", deployment_key="key", provider="local", owner="o", replica=0)
    store.transition("n1", NodeState.FAILED)
    fill(store, age_days=40)
    fill(store, age_days=33)  # the next look is an hour away: these stay for now
    (cost,) = store.costs()
    assert (cost.calls, cost.calls_usd) == (6, 3.0)
    store._next_removal = 0.0
    fill(store, age_days=1)
    assert rows(store)[1] == 3
    (cost,) = store.costs()
    assert (cost.calls, cost.calls_usd) == (9, 4.5)
    (cost,) = store.costs(since=time.time() - 35 * DAY)
    assert (cost.calls, cost.calls_usd) == (6, 3.0), "those of the days before do not count"


def test_a_run_is_forgotten_with_its_calls_and_not_what_it_cost(keeping):
    store = keeping(0)
    store.put_deployment("key", project="p", owner="o", provider="local", spec={})
    store.add_intent("n1", deployment_key="key", provider="local", owner="o", replica=0)
    store.transition("n1", NodeState.FAILED)
    fill(store, age_days=1)
    store.put_flow_run(FlowRun("run", "inbox", "name", 1.0))
    assert store.forget_flow_run("run") == 7
    assert store.forget_flow_run("run") == 0
    assert rows(store) == (0, 0, 1)
    assert store.costs()[0].calls_usd == 1.5


def test_a_removal_that_fails_costs_no_row_and_no_word(
    keeping, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    store = keeping(30)
    with store._database.write() as connection:
        connection.exec_driver_sql("DROP TABLE past_calls")
    with caplog.at_level(logging.WARNING):
        fill(store, age_days=31)
        assert rows(store) == (3, 3, 1)
    assert caplog.records == []
