"""Several processes share one database: nothing is lost, nothing happens twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from conduit.store import NodeState, Store

PRELUDE = """
import os, sys
from pydantic import SecretStr
from conduit.settings import Settings
from conduit.store import ModelCall, open_store
store = open_store(Settings(db_url=SecretStr(sys.argv[1]), run_log_days=0))
"""


@pytest.fixture
def url(either_url: str) -> str:
    return either_url


@pytest.fixture(autouse=True)
def deployments(store: Store) -> None:
    for key in ("key", "other"):
        store.put_deployment(key, project="p", owner="o", provider="local", spec={})


def start(url: str, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", PRELUDE + code, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


WORKER = """
import json, sys, threading, traceback
from conduit.errors import BudgetExceeded, IllegalTransition
from conduit.store import NodeState, Reservation, Store
me = int(sys.argv[1])
print("up", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    names = globals() | {"store": Store(job["url"]), "won": []}
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        exec(job["code"], names)
        print(json.dumps(names["won"]), flush=True)
    except Exception:
        print(json.dumps(traceback.format_exc()), flush=True)
    names["store"].close()
"""


class Team:
    """Four processes that each open a store, and are let go at once."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", WORKER]
        self._members = [
            subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for n in range(4)
        ]
        assert self._hear() == ["up\n"] * 4

    def race(self, url: str, code: str) -> list[list[int]]:
        """What each of them appended to ``won``; all live until the last has ended."""
        self._tell(json.dumps({"url": url, "code": code}))
        assert self._hear() == ["ready\n"] * 4
        self._tell("go")
        return [json.loads(line) for line in self._hear()]

    def end(self) -> None:
        for member in self._members:
            member.communicate(timeout=50)

    def _tell(self, line: str) -> None:
        for member in self._members:
            assert member.stdin is not None
            member.stdin.write(f"{line}\n")
            member.stdin.flush()

    def _hear(self) -> list[str]:
        return [member.stdout.readline() for member in self._members if member.stdout is not None]


@pytest.fixture(scope="module")
def team():
    team = Team()
    yield team
    team.end()


def test_four_processes_make_one_new_database(
    request: pytest.FixtureRequest, tmp_path: Path, url: str, team: Team
):
    fresh = [f"sqlite:///{tmp_path / str(number) / 'conduit.db'}" for number in range(5)]
    if not url.startswith("sqlite"):
        fresh = [request.getfixturevalue("cluster").new_database() for _ in range(5)]
    code = f"""
for number, url in enumerate({fresh}):
    made = Store(url)
    made.put_deployment("new", project="p", owner=str(me), provider="local", spec={{}})
    made.close()
    won.append(number)
"""
    assert team.race(url, code) == [[*range(5)]] * 4
    for each in fresh:
        with closing(Store(each)) as made:
            assert [deployment.key for deployment in made.deployments()] == ["new"]


def test_of_four_processes_exactly_one_gets_each_id(store: Store, url: str, team: Team):
    code = """
for number in range(50):
    key = "key" if me % 2 else "other"
    try:
        store.add_intent(f"n{number}", deployment_key=key, provider="local", owner="o", replica=number)
        won.append(number)
    except IllegalTransition:
        pass
"""
    assert Counter(chain.from_iterable(team.race(url, code))) == Counter(range(50))
    assert len(store.nodes()) == 50


def test_each_of_200_leases_has_one_winner_among_four_processes(store: Store, url: str, team: Team):
    for number in range(0, 200, 2):  # half of them were held before
        lease = store.acquire_lease(f"lease-{number}", ttl_s=600)
        assert lease is not None
        store.release_lease(lease)
    code = "won = [n for n in range(200) if store.acquire_lease(f'lease-{n}', ttl_s=600)]"
    assert Counter(chain.from_iterable(team.race(url, code))) == Counter(range(200))


def test_the_leases_of_a_dead_process_are_free_at_once(store: Store, url: str):
    code = "print(store.acquire_lease('reconcile', ttl_s=600).fence, flush=True); input()"
    process = start(url, code)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        assert store.acquire_lease("reconcile", ttl_s=600) is None
        process.kill()
        deadline = time.monotonic() + 20
        while (lease := store.acquire_lease("reconcile", ttl_s=600)) is None:  # not reaped is dead, too
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert lease.fence == 2
    finally:
        process.kill()
        process.communicate()


def test_200_intents_at_once_on_a_budget_for_50(store: Store, url: str, team: Team):
    code = """
def intend(thread):
    for number in range(10):
        key = ("key", "other")[number % 2]
        node_id = f"n-{me}-{thread}-{number}"
        reserve = Reservation(1.0, deployment_cap_usd=30.0, owner_cap_usd=50.0)
        try:
            store.add_intent(
                node_id, deployment_key=key, provider="runpod", owner="o", replica=0, usd_per_hour=1.0,
                reserve=reserve,
            )
            won.append(node_id)
        except BudgetExceeded as error:
            assert error.reserved_usd + 1.0 > error.budget_usd
threads = [threading.Thread(target=intend, args=(number,)) for number in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    winners = [*chain.from_iterable(team.race(url, code))]
    nodes = store.nodes()
    assert sorted(winners) == sorted(node.id for node in nodes)
    assert len(winners) == 50
    assert max(Counter(node.deployment_key for node in nodes).values()) <= 30


def test_of_moves_that_exclude_each_other_exactly_one_is_made(store: Store, url: str, team: Team):
    for number in range(50):
        store.add_intent(f"n{number}", deployment_key="key", provider="local", owner="o", replica=number)
        for state in (NodeState.CREATING, NodeState.TERMINATING):
            store.transition(f"n{number}", state)
    code = """
end = [NodeState.TERMINATED, NodeState.LOST, NodeState.FAILED, NodeState.TERMINATED][me]
for number in range(50):
    try:
        store.transition(f"n{number}", end, handle={"by": me}, reason=str(me))
        won.append(number)
    except IllegalTransition as error:
        assert error.from_state in ("terminated", "lost", "failed"), error.from_state
"""
    winnings = team.race(url, code)
    assert Counter(chain.from_iterable(winnings)) == Counter(range(50))
    for node in store.nodes():
        winner = int(node.handle["by"])
        assert node.replica in winnings[winner]
        assert node.reason == str(winner)
        assert (
            node.state is (NodeState.LOST, NodeState.FAILED)[winner - 1] if winner in (1, 2) else "terminated"
        )


def test_deployments_put_declared_and_deleted_at_once_are_whole_or_gone(store: Store, url: str, team: Team):
    code = """
for number in range(30):
    store.put_deployment("shared", project="p", owner="o", provider="local", spec={})
    node_id = f"n-{me}-{number}"
    intent = {"deployment_key": "shared", "provider": "local", "owner": "o", "replica": 0}
    for act in (
        lambda: store.declare("shared"),
        lambda: store.add_intent(node_id, **intent),
        lambda: store.transition(node_id, NodeState.FAILED),
        lambda: store.delete_deployment("shared"),
    ):
        try:
            act()
            won.append(number)
        except IllegalTransition:
            pass
"""
    for won in team.race(url, code):
        assert won
        assert isinstance(won, list), won
    for node in store.nodes(live=True, deployment_key="shared"):
        store.transition(node.id, NodeState.FAILED)
    store.delete_deployment("shared")
    assert [deployment.key for deployment in store.deployments()] == ["key", "other"]


def test_a_declaration_counts_while_its_process_lives(store: Store, url: str):
    process = start(url, "store.declare('key'); print('declared', flush=True); input()")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "declared\n"
        assert [d.pid for d in store.declarations("key")] == [process.pid]
        assert not store.is_ours(store.declarations("key")[0])
        process.kill()
        deadline = time.monotonic() + 20
        while store.declarations("key"):  # a killed process that nobody reaped does not count either
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()


def test_queued_calls_are_written_at_exit(store: Store, url: str):
    process = start(url, "[store.log_call(ModelCall(float(n), 'm')) for n in range(700)]")
    process.communicate(timeout=50)
    assert process.returncode == 0
    assert len(store.model_calls(limit=1000)) == 700


def test_two_processes_that_write_at_once_lose_no_row(store: Store, url: str):
    code = """
from conduit.store import BlockCall, CallState
print("up", flush=True)
sys.stdin.readline()
for n in range(2000):
    store.log_block_call(BlockCall(f"{os.getpid()}-{n}", "m:f", float(n), 0.1, CallState.DONE, "run"))
    store.log_call(ModelCall(float(n), "m", flow_run_id="run"))
    if n % 100 == 0:
        store.flush()
"""
    both = [start(url, code), start(url, code)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=50)
        assert process.returncode == 0
    totals = store.flow_run_totals("run")
    assert (totals.block_calls, totals.model_calls) == (4000, 4000)


def test_a_forked_child_has_connections_and_a_writer_of_its_own(store: Store, url: str):
    code = """
import warnings
store.log_call(ModelCall(1.0, "parent"))
store.flush()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    child = os.fork()
if child == 0:
    store.declare("key")
    store.log_call(ModelCall(2.0, "child"))
    os._exit(0 if store.flush() and store.is_ours(store.declarations("key")[0]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store.log_call(ModelCall(3.0, "parent"))
"""
    process = start(url, code)
    process.communicate(timeout=50)
    assert process.returncode == 0
    assert [call.model_id for call in store.model_calls()] == ["parent", "child", "parent"]
