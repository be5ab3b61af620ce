"""What was spent stays known, also when the rows of what it was spent for are gone."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from conduit.errors import IllegalTransition
from conduit.store import ModelCall, NodeState, Store, tables

HOUR = 3600.0


def put(store: Store, key: str = "key", project: str = "p", owner: str = "o") -> None:
    store.put_deployment(key, project=project, owner=owner, provider="runpod", name=f"name of {key}", spec={})


def add(store: Store, node_id: str, key: str = "key", owner: str = "o", price: float | None = 2.0) -> None:
    store.add_intent(
        node_id, deployment_key=key, provider="runpod", owner=owner, replica=0, usd_per_hour=price
    )


def set_times(store: Store, node_id: str, **values: float) -> None:
    with store._database.write() as connection:
        connection.execute(
            update(tables.node_cost).where(tables.node_cost.c.node_id == node_id).values(**values)
        )


def run(store: Store, node_id: str, *, end: bool = True) -> None:
    store.transition(node_id, NodeState.CREATING)
    store.transition(node_id, NodeState.STARTING, handle={"pod": 1})
    store.transition(node_id, NodeState.READY)
    if end:
        store.transition(node_id, NodeState.TERMINATING)
        store.transition(node_id, NodeState.TERMINATED)


def test_a_record_tells_offering_price_expiry_and_the_times_of_its_life(store: Store):
    put(store)
    before = time.time()
    store.add_intent(
        "n1",
        deployment_key="key",
        provider="runpod",
        owner="o",
        replica=0,
        offering={"gpu": "L4"},
        usd_per_hour=0.4,
        expires_at=7.0,
    )
    run(store, "n1", end=False)
    ready = store.transition("n1", NodeState.READY, usd_per_hour=0.5, expires_at=8.0)
    assert (ready.offering, ready.usd_per_hour, ready.expires_at) == ({"gpu": "L4"}, 0.5, 8.0)
    assert ready.ready_at is not None
    assert before <= ready.ready_at <= time.time()
    assert (ready.ended_at, ready.billed_usd, ready.reserved_usd) == (None, None, 0.0)
    assert ready.estimated_usd(ready.created_at + HOUR) == pytest.approx(0.5)
    store.transition("n1", NodeState.UNHEALTHY)
    again = store.transition("n1", NodeState.READY)
    assert again.ready_at == ready.ready_at, "the first time counts"
    lost = store.transition("n1", NodeState.LOST)
    assert lost.ended_at is not None
    assert lost.estimated_usd(lost.ended_at + HOUR) < 0.1, "the clock of the bill has stopped"
    assert store.nodes() == [lost]


def test_a_plan_and_a_budget_are_kept_and_changed(store: Store):
    put(store)
    assert (store.deployments()[0].plan, store.deployments()[0].budget_usd) == (None, None)
    store.set_deployment_plan("key", plan={"gpu": "L4"}, budget_usd=5.0)
    changed = store.deployment("key")
    assert changed is not None
    assert (changed.plan, changed.budget_usd) == ({"gpu": "L4"}, 5.0)
    with pytest.raises(IllegalTransition):
        store.set_deployment_plan("ghost", plan=None, budget_usd=None)


def test_costs_are_the_sums_over_nodes_and_calls(store: Store):
    put(store)
    now = time.time()
    add(store, "n1")
    run(store, "n1")
    set_times(store, "n1", created_at=now - 4 * HOUR, ready_at=now - 3 * HOUR, ended_at=now - 2 * HOUR)
    store.set_billed("n1", 4.2)
    add(store, "n2", price=3.0)
    set_times(store, "n2", created_at=now - HOUR)
    add(store, "n3", price=100.0)
    store.transition("n3", NodeState.FAILED)
    store.log_call(ModelCall(now, "m", cost_usd=0.25, deployment_key="key"))
    store.log_call(ModelCall(now, "m", cost_usd=None, deployment_key="key"))
    store.log_call(ModelCall(now, "m", cost_usd=9.0, deployment_key="another"))
    (cost,) = store.costs()
    assert (cost.deployment_key, cost.project, cost.owner, cost.provider) == ("key", "p", "o", "runpod")
    assert cost.name == "name of key"
    assert (cost.nodes, cost.live_nodes, cost.usd_per_hour) == (2, 1, 3.0)
    assert cost.node_s == pytest.approx(3 * HOUR, abs=60)
    assert cost.boot_s == pytest.approx(2 * HOUR, abs=60), "one that is not ready yet is booting"
    assert cost.estimated_usd == pytest.approx(2 * 2.0 + 1 * 3.0, abs=0.1)
    assert cost.billed_usd == pytest.approx(4.2)
    assert (cost.calls, cost.calls_usd) == (2, 0.25)


def test_a_cost_is_start_calls_and_the_time_between(store: Store):
    put(store)
    now = time.time()
    add(store, "n1", price=2.0)
    run(store, "n1")
    set_times(store, "n1", created_at=now - 4 * HOUR, ready_at=now - 3 * HOUR, ended_at=now - HOUR)
    store.log_call(ModelCall(now - 2 * HOUR, "m", cost_usd=1.5, deployment_key="key"))
    (cost,) = store.costs()
    assert cost.estimated_usd == pytest.approx(3 * 2.0)
    assert (cost.boot_usd, cost.calls_usd) == (pytest.approx(2.0), 1.5)
    assert cost.idle_usd == pytest.approx(6.0 - 2.0 - 1.5)
    (later,) = store.costs(since=now - 2 * HOUR)
    assert (later.boot_usd, later.idle_usd) == (0.0, pytest.approx(2.0 - 1.5))


def test_each_nodes_start_counts_at_its_own_price(store: Store):
    put(store)
    now = time.time()
    for node_id, price in (("cheap", 1.0), ("dear", 5.0)):
        add(store, node_id, price=price)
        run(store, node_id)
        set_times(store, node_id, created_at=now - 2 * HOUR, ready_at=now - HOUR, ended_at=now)
    assert store.costs()[0].boot_usd == pytest.approx(6.0)


def test_a_start_that_never_became_ready_is_all_start(store: Store):
    put(store)
    now = time.time()
    add(store, "n1")
    set_times(store, "n1", created_at=now - HOUR)
    (cost,) = store.costs()
    assert (cost.boot_usd, cost.idle_usd) == (pytest.approx(2.0, abs=0.01), pytest.approx(0.0, abs=1e-6))


def test_calls_that_cost_more_than_their_nodes_leave_no_negative_idle_time(store: Store):
    put(store)
    add(store, "n1")
    run(store, "n1")
    store.log_call(ModelCall(time.time(), "m", cost_usd=9.0, deployment_key="key"))
    assert store.costs()[0].idle_usd == 0.0


def test_costs_since_a_time_leave_out_what_was_before(store: Store):
    put(store)
    now = time.time()
    for node_id in ("old", "across"):
        add(store, node_id)
        run(store, node_id)
    set_times(store, "old", created_at=now - 9 * HOUR, ready_at=now - 8 * HOUR, ended_at=now - 5 * HOUR)
    set_times(store, "across", created_at=now - 6 * HOUR, ready_at=now - 5 * HOUR, ended_at=now - 2 * HOUR)
    store.set_billed("old", 100.0)
    store.set_billed("across", 8.4)
    store.log_call(ModelCall(now - 5 * HOUR, "m", cost_usd=1.0, deployment_key="key"))
    store.log_call(ModelCall(now - 3 * HOUR, "m", cost_usd=2.0, deployment_key="key"))
    (cost,) = store.costs(since=now - 4 * HOUR)
    assert (cost.nodes, cost.boot_s, cost.calls, cost.calls_usd) == (1, 0.0, 1, 2.0)
    assert cost.node_s == pytest.approx(2 * HOUR)
    assert cost.estimated_usd == pytest.approx(4.0)
    assert cost.billed_usd == pytest.approx(4.2)
    assert store.costs(since=now) == []


def test_costs_are_found_by_project_owner_and_deployment(store: Store):
    put(store, "a")
    put(store, "b", project="q")
    put(store, "c", owner="someone else")
    for key, owner in (("a", "o"), ("b", "o"), ("c", "someone else")):
        add(store, f"n-{key}", key, owner)
    assert [cost.deployment_key for cost in store.costs()] == ["a", "b", "c"]
    assert [cost.deployment_key for cost in store.costs(project="p")] == ["a", "c"]
    assert [cost.deployment_key for cost in store.costs(project="p", owner="o")] == ["a"]
    assert [cost.deployment_key for cost in store.costs(deployment_key="b")] == ["b"]


def test_costs_outlive_nodes_and_deployments(store: Store):
    put(store)
    add(store, "n1")
    run(store, "n1")
    add(store, "n2")
    run(store, "n2")
    store.log_call(ModelCall(time.time(), "m", cost_usd=0.5, deployment_key="key"))
    before = store.costs()
    store.delete_node("n1")
    store.delete_deployment("key")
    assert store.costs() == before
    store.set_billed("n2", 1.5)
    assert store.costs()[0].billed_usd == 1.5


def test_a_bill_needs_its_node(store: Store):
    with pytest.raises(IllegalTransition, match="ghost"):
        store.set_billed("ghost", 1.0)


def test_a_node_without_a_price_costs_nothing(store: Store):
    put(store)
    add(store, "n1", price=None)
    run(store, "n1")
    (cost,) = store.costs()
    assert (cost.nodes, cost.estimated_usd, cost.billed_usd, cost.calls_usd) == (1, 0.0, None, 0.0)
