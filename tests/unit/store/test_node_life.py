"""A node's row goes through its life by legal moves only."""

from __future__ import annotations

from itertools import product

import pytest

from conduit.errors import IllegalTransition
from conduit.store import NodeState, Store

# Written out once more, so that a change of the table shows here.
LEGAL = {
    ("intent", "creating"), ("intent", "terminated"), ("intent", "failed"),
    ("creating", "starting"), ("creating", "terminating"), ("creating", "failed"), ("creating", "lost"),
    ("starting", "ready"), ("starting", "unhealthy"), ("starting", "terminating"), ("starting", "failed"),
    ("starting", "lost"),
    ("ready", "unhealthy"), ("ready", "terminating"), ("ready", "lost"),
    ("unhealthy", "ready"), ("unhealthy", "terminating"), ("unhealthy", "failed"), ("unhealthy", "lost"),
    ("terminating", "terminated"), ("terminating", "failed"), ("terminating", "lost"),
    # Staying where it is, to take a new handle or reason.
    ("intent", "intent"), ("creating", "creating"), ("starting", "starting"), ("ready", "ready"),
    ("unhealthy", "unhealthy"), ("terminating", "terminating"),
}  # fmt: skip

PATHS = {
    "intent": (),
    "creating": ("creating",),
    "starting": ("creating", "starting"),
    "ready": ("creating", "starting", "ready"),
    "unhealthy": ("creating", "starting", "unhealthy"),
    "terminating": ("creating", "terminating"),
    "terminated": ("terminated",),
    "failed": ("failed",),
    "lost": ("creating", "lost"),
}


@pytest.fixture(autouse=True)
def deployment(store: Store) -> None:
    store.put_deployment("key", project="p", owner="o", provider="local", spec={})


def add(store: Store, node_id: str, replica: int = 0) -> None:
    store.add_intent(node_id, deployment_key="key", provider="local", owner="o", replica=replica)


def bring_to(store: Store, node_id: str, state: str) -> None:
    add(store, node_id)
    for step in PATHS[state]:
        store.transition(node_id, NodeState(step))


def test_every_legal_move_is_made_and_every_other_is_refused(store: Store):
    for number, (old, new) in enumerate(product(NodeState, NodeState)):
        node_id = f"n{number}"
        bring_to(store, node_id, old)
        if (old.value, new.value) in LEGAL:
            assert store.transition(node_id, new).state is new
        else:
            with pytest.raises(IllegalTransition) as caught:
                store.transition(node_id, new, handle={"never": 1})
            assert (caught.value.from_state, caught.value.to_state) == (old.value, new.value)
            node = store.node(node_id)
            assert node is not None
            assert (node.state, node.handle) == (old, {})


def test_an_intent_is_committed_before_add_intent_returns(store: Store, url: str):
    add(store, "n1")
    other = Store(url)
    try:
        assert [node.state for node in other.nodes()] == [NodeState.INTENT]
    finally:
        other.close()


def test_an_id_is_taken_once(store: Store):
    add(store, "n1")
    with pytest.raises(IllegalTransition, match="already"):
        add(store, "n1")
    store.transition("n1", NodeState.FAILED)
    store.delete_node("n1")
    with pytest.raises(IllegalTransition, match="was one already"):
        add(store, "n1")


def test_a_node_needs_its_deployment(store: Store):
    with pytest.raises(IllegalTransition, match="nowhere"):
        store.add_intent("n1", deployment_key="nowhere", provider="local", owner="o", replica=0)


def test_an_unknown_node_moves_nowhere(store: Store):
    with pytest.raises(IllegalTransition, match="no row"):
        store.transition("ghost", NodeState.READY)


def test_a_move_keeps_the_handle_and_states_its_own_reason(store: Store):
    bring_to(store, "n1", "creating")
    store.transition("n1", NodeState.STARTING, handle={"pid": 7}, reason="first")
    ready = store.transition("n1", NodeState.READY)
    assert (ready.handle, ready.reason) == ({"pid": 7}, None)
    sick = store.transition("n1", NodeState.UNHEALTHY, reason="no answer")
    assert (sick.handle, sick.reason) == ({"pid": 7}, "no answer")


def test_nodes_are_found_by_deployment_owner_and_life(store: Store):
    store.put_deployment("other", project="p", owner="o2", provider="local", spec={})
    bring_to(store, "dead", "lost")
    add(store, "second", replica=1)
    add(store, "first")
    store.add_intent("foreign", deployment_key="other", provider="local", owner="o2", replica=0)
    assert [n.id for n in store.nodes(deployment_key="key", live=True)] == ["first", "second"]
    assert [n.id for n in store.nodes(live=False)] == ["dead"]
    assert [n.id for n in store.nodes(owner="o2")] == ["foreign"]


@pytest.mark.parametrize("state", [s for s in NodeState if not s.final])
def test_a_row_stays_while_its_node_may_exist(store: Store, state: NodeState):
    bring_to(store, "n1", state)
    with pytest.raises(IllegalTransition):
        store.delete_node("n1")
    with pytest.raises(IllegalTransition):
        store.delete_deployment("key")
    assert store.node("n1") is not None
    assert store.deployment("key") is not None


@pytest.mark.parametrize("state", [s for s in NodeState if s.final])
def test_an_ended_node_can_be_removed(store: Store, state: NodeState):
    bring_to(store, "n1", state)
    store.delete_node("n1")
    store.delete_node("n1")
    assert store.nodes() == []
