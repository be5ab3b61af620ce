"""Deployments, declarations and the run log keep what they are told."""

from __future__ import annotations

import logging
import os
import threading
import time

import psutil
import pytest
from sqlalchemy import update

from conduit.errors import IllegalTransition
from conduit.store import Attempt, DeploymentState, ModelCall, NodeState, Store, tables


def put(store: Store, key: str = "key", project: str = "p", owner: str = "o") -> None:
    store.put_deployment(key, project=project, owner=owner, provider="local", spec={"models": [key]})


def test_a_deployment_that_is_there_is_not_put_again(store: Store):
    put(store)
    store.set_deployment_state("key", DeploymentState.READY)
    again = store.put_deployment("key", project="x", owner="y", provider="runpod", spec={})
    assert (again.project, again.state, again.spec) == ("p", DeploymentState.READY, {"models": ["key"]})


def test_deployments_are_found_by_project_and_owner(store: Store):
    put(store, "a", project="p")
    put(store, "b", project="q")
    put(store, "c", project="p", owner="someone else")
    assert [d.key for d in store.deployments(project="p", owner="o")] == ["a"]
    assert [d.key for d in store.deployments()] == ["a", "b", "c"]


def test_a_deployment_that_is_not_there_has_no_state(store: Store):
    with pytest.raises(IllegalTransition):
        store.set_deployment_state("ghost", DeploymentState.READY)


def test_a_deployment_is_kept_until_told_otherwise_and_no_longer_than_it_is_there(store: Store):
    put(store)
    assert store.deployments()[0].kept is False
    assert store.keep_deployment("key").kept
    store.set_deployment_state("key", DeploymentState.READY)
    put(store)
    assert store.deployments()[0].kept, "to be brought up again takes nothing back"
    assert not store.keep_deployment("key", kept=False).kept
    store.keep_deployment("key")
    store.delete_deployment("key")
    put(store)
    assert store.deployments()[0].kept is False
    with pytest.raises(IllegalTransition, match="bring it up again"):
        store.keep_deployment("ghost")


def test_delete_takes_ended_nodes_and_declarations_along(store: Store):
    put(store)
    store.add_intent("n1", deployment_key="key", provider="local", owner="o", replica=0)
    store.transition("n1", NodeState.FAILED)
    store.declare("key")
    store.delete_deployment("key")
    store.delete_deployment("key")
    assert (store.deployments(), store.nodes(), store.declarations()) == ([], [], [])


def test_a_process_declares_once_and_withdraws(store: Store):
    put(store)
    store.declare("key")
    store.declare("key")
    (declaration,) = store.declarations("key")
    assert declaration.pid == os.getpid()
    assert store.is_ours(declaration)
    store.withdraw("key")
    store.withdraw("key")
    assert store.declarations() == []


def test_a_declaration_needs_its_deployment(store: Store):
    with pytest.raises(IllegalTransition, match="ghost"):
        store.declare("ghost")


def change_declaration(store: Store, **values: object) -> None:
    with store._database.write() as connection:
        connection.execute(update(tables.declaration).values(**values))


def test_a_pid_that_another_process_has_now_counts_for_nothing(store: Store):
    put(store)
    store.declare("key")
    (ours,) = store.declarations()
    change_declaration(store, started_at=ours.started_at - 60)
    assert store.declarations() == []
    change_declaration(store, started_at=ours.started_at)
    assert store.declarations() == [], "a dead declaration's row is removed"


def test_a_process_that_is_gone_counts_for_nothing(store: Store):
    put(store)
    store.declare("key")
    change_declaration(store, pid=2**22 + 1)
    assert store.declarations() == []


def test_a_process_that_cannot_be_looked_at_is_taken_for_alive(store: Store, monkeypatch: pytest.MonkeyPatch):
    put(store)
    store.declare("key")

    def refuse(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr("conduit.store.processes.psutil.Process", refuse)
    assert len(store.declarations()) == 1


def test_another_hosts_declaration_counts_for_a_day(store: Store):
    put(store)
    store.declare("key")
    change_declaration(store, host="elsewhere")
    (theirs,) = store.declarations()
    assert not store.is_ours(theirs)
    change_declaration(store, declared_at=time.time() - 25 * 3600)
    assert store.declarations() == []


def test_the_run_log_keeps_every_field(store: Store):
    call = ModelCall(
        started_at=1.5,
        model_id="conduit/tiny",
        block="triage",
        inputs_hash="abc",
        prompt_tokens=10,
        completion_tokens=20,
        latency_s=0.25,
        replica="n1",
        attempts=3,
        repairs=1,
        cost_usd=0.001,
        error="mdl.output_invalid",
        flow_run_id="run",
        deployment_key="key",
        request_id="r1",
        attempt_log=(
            Attempt(2, 5, 12, 0.1, "stop", problems=2, replica="n1", error="mdl.output_invalid"),
            Attempt(1, None, None, 0.15, repairs=("fence", "comma"), error="model.timeout"),
        ),
    )
    store.log_call(call)
    assert store.model_calls() == [call]


def test_model_calls_are_newest_first_and_found_by_field(store: Store):
    for number in range(5):
        store.log_call(ModelCall(float(number), "m", block=f"b{number % 2}", flow_run_id="f"))
    assert [c.started_at for c in store.model_calls(limit=2)] == [4.0, 3.0]
    assert [c.started_at for c in store.model_calls(block="b1")] == [3.0, 1.0]
    assert store.model_calls(flow_run_id="none") == []
    assert store.model_calls(deployment_key="none") == []


def test_calls_logged_by_many_threads_all_arrive(store: Store):
    def log() -> None:
        for number in range(50):
            store.log_call(ModelCall(float(number), "m"))

    threads = [threading.Thread(target=log) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.model_calls(limit=2000)) == 1000


def test_close_writes_what_is_queued_and_a_later_use_opens_again(store: Store):
    before = set(threading.enumerate())
    store.log_call(ModelCall(1.0, "m"))
    store.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name == "conduit-run-log"]
    store.log_call(ModelCall(2.0, "m"))
    assert [c.started_at for c in store.model_calls()] == [2.0, 1.0]


def test_a_failing_run_log_is_said_once_and_fails_no_call(store: Store, caplog: pytest.LogCaptureFixture):
    with store._database.write() as connection:
        tables.model_call.drop(connection)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            store.log_call(ModelCall(1.0, "m"))
            assert store.flush()
    assert len([r for r in caplog.records if "run log misses rows" in r.message]) == 1


def test_a_full_backlog_drops_rows_and_does_not_block(store: Store, monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()
    monkeypatch.setattr("conduit.store.run_log._LARGEST_BACKLOG", 3)
    monkeypatch.setattr(store._run_log, "_write", lambda calls: release.wait(30))
    store._run_log.restart_after_fork()
    started = time.monotonic()
    for _ in range(1000):
        store.log_call(ModelCall(1.0, "m"))
    assert time.monotonic() - started < 20
    assert not store.flush(0.01)
    release.set()
    assert store.flush()
