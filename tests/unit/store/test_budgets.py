"""An intent is committed only while its money is there; what it does not use is free again."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from conduit.errors import BudgetExceeded
from conduit.store import NodeState, Reservation, Store, tables

HOUR = 3600.0


@pytest.fixture(autouse=True)
def deployments(store: Store) -> None:
    for key in ("a", "b"):
        store.put_deployment(key, project="p", owner="o", provider="runpod", spec={})
    store.put_deployment("foreign", project="p", owner="someone else", provider="runpod", spec={})


def add(
    store: Store,
    node_id: str,
    usd: float,
    *,
    cap: float | None = None,
    owner_cap: float | None = None,
    key: str = "a",
    owner: str = "o",
    price: float = 1.0,
) -> None:
    store.add_intent(
        node_id,
        deployment_key=key,
        provider="runpod",
        owner=owner,
        replica=0,
        usd_per_hour=price,
        reserve=Reservation(usd, deployment_cap_usd=cap, owner_cap_usd=owner_cap),
    )


def age(store: Store, node_id: str, hours: float) -> None:
    """As if the node had been asked for so much earlier."""
    for table, key in ((tables.node, tables.node.c.id), (tables.node_cost, tables.node_cost.c.node_id)):
        with store._database.write() as connection:
            earlier = table.c.created_at - hours * HOUR
            connection.execute(update(table).where(key == node_id).values(created_at=earlier))


def end(store: Store, node_id: str) -> None:
    store.transition(node_id, NodeState.CREATING)
    store.transition(node_id, NodeState.STARTING, handle={"pod": node_id})
    store.transition(node_id, NodeState.TERMINATING)
    store.transition(node_id, NodeState.TERMINATED)


def test_a_budget_is_given_out_to_the_last_cent_and_no_further(store: Store):
    for number in range(10):
        add(store, f"n{number}", 0.3, cap=3.0)
    with pytest.raises(BudgetExceeded) as caught:
        add(store, "over", 0.01, cap=3.0)
    assert caught.value.budget_usd == 3.0
    assert caught.value.reserved_usd == pytest.approx(3.0)
    assert caught.value.needed_usd == 0.01
    for part in ("over may cost 0.01 USD", "the 3 USD", "3 USD are spent or reserved", "deployment a"):
        assert part in caught.value.message
    assert store.node("over") is None
    add(store, "over", 0.01, cap=4.0)  # a refused id was not used


def test_a_deployments_cap_counts_its_own_nodes_only(store: Store):
    add(store, "n1", 3.0, key="b")
    add(store, "n2", 3.0, cap=3.0)


def test_an_owners_cap_counts_all_its_deployments_and_nobody_elses(store: Store):
    add(store, "n1", 2.0, key="b")
    add(store, "n2", 9.0, key="foreign", owner="someone else")
    with pytest.raises(BudgetExceeded, match="owner o"):
        add(store, "n3", 1.5, owner_cap=3.0)
    add(store, "n3", 1.0, owner_cap=3.0)


def test_what_costs_nothing_is_never_refused(store: Store):
    add(store, "n1", 5.0, cap=5.0)
    add(store, "free", 0.0, cap=1.0)


def test_a_node_that_never_was_gives_all_back(store: Store):
    add(store, "n1", 3.0, cap=3.0)
    again = {"cap": 3.0}
    with pytest.raises(BudgetExceeded):
        add(store, "n2", 3.0, **again)
    age(store, "n1", 2.0)  # it stood long in the records, and nothing ran
    store.transition("n1", NodeState.CREATING)
    store.transition("n1", NodeState.FAILED)
    node = store.node("n1")
    assert node is not None
    assert node.estimated_usd(node.created_at + 9 * HOUR) == 0.0
    add(store, "n2", 3.0, **again)


def test_an_ended_node_keeps_only_what_it_cost(store: Store):
    add(store, "n1", 3.0, cap=3.0)
    age(store, "n1", 1.0)
    end(store, "n1")
    with pytest.raises(BudgetExceeded) as caught:
        add(store, "n2", 2.1, cap=3.0)
    assert caught.value.reserved_usd == pytest.approx(1.0, abs=0.1)
    add(store, "n2", 1.9, cap=3.0)


def test_a_higher_bill_counts_in_place_of_the_estimate_and_a_lower_one_does_not(store: Store):
    add(store, "n1", 3.0)
    age(store, "n1", 1.0)
    end(store, "n1")
    store.set_billed("n1", 0.2)
    with pytest.raises(BudgetExceeded):
        add(store, "n2", 2.1, cap=3.0)
    store.set_billed("n1", 2.5)
    with pytest.raises(BudgetExceeded) as caught:
        add(store, "n2", 0.6, cap=3.0)
    assert caught.value.reserved_usd == 2.5


def test_a_live_node_counts_with_its_reservation_or_with_what_it_cost_when_that_is_more(store: Store):
    add(store, "n1", 3.0)
    age(store, "n1", 2.0)
    with pytest.raises(BudgetExceeded) as caught:
        add(store, "n2", 9.0, cap=9.0)
    assert caught.value.reserved_usd == 3.0
    age(store, "n1", 3.0)
    with pytest.raises(BudgetExceeded) as caught:
        add(store, "n2", 9.0, cap=9.0)
    assert caught.value.reserved_usd == pytest.approx(5.0, abs=0.1)


def test_a_removed_node_counts_on_and_a_deleted_deployment_begins_anew(store: Store):
    add(store, "n1", 3.0)
    age(store, "n1", 1.0)
    end(store, "n1")
    store.delete_node("n1")
    with pytest.raises(BudgetExceeded):
        add(store, "n2", 2.5, cap=3.0)
    store.delete_deployment("a")
    store.put_deployment("a", project="p", owner="o", provider="runpod", spec={})
    add(store, "n2", 3.0, cap=3.0, owner_cap=3.0)
