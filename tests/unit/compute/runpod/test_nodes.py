"""Pods and endpoints as nodes: found by name, never mistaken for somebody else's, ended each or all."""

from __future__ import annotations

import json

import anyio
import httpx
import pytest

from conduit.compute import NodeStatus
from conduit.errors import AmbiguousAnswer, ComputeError, NodeFailed, ProviderRejected
from support.runpod_account import KEY, pod, problem

pytestmark = pytest.mark.anyio

OTHER = "0123456789ab"


@pytest.fixture
def named(owner):
    """A pod of that node."""

    def made(node_id="n1", **changes):
        return pod(**{"name": f"cdt-{owner.id}-{node_id}", "id": f"id-{node_id}", **changes})

    return made


async def test_a_created_node_is_found_by_handle_by_id_and_in_the_list(provider, account, make_spec, owner):
    made = await provider.create(make_spec())
    assert (made.status, made.said, made.alive) == (NodeStatus.STARTING, "PROVISIONING", True)
    assert made.handle == {"kind": "pod", "id": "pods0"}
    assert json.loads(json.dumps(made.handle)) == made.handle
    assert (made.deployment_key, made.project, made.usd_per_hour) == ("d1", "/home/me/project", 0.72)
    assert made.created_at == pytest.approx(1787206579.436)
    assert await provider.get(made.node_id) == made
    assert await provider.get(made.node_id, made.handle) == made
    assert await provider.list_owned(owner.id) == [made]
    assert await provider.list_owned(OTHER) == []


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("PROVISIONING", NodeStatus.STARTING),
        ("STARTING", NodeStatus.STARTING),
        ("RUNNING", NodeStatus.RUNNING),
        ("EXITED", NodeStatus.EXITED),
        ("ERROR", NodeStatus.STARTING),
        ("NEWLY_INVENTED", NodeStatus.STARTING),
        (None, NodeStatus.STARTING),
    ],
)
async def test_only_what_surely_costs_nothing_counts_as_ended(provider, account, named, owner, said, status):
    account.pods["id-n1"] = named(status=said)
    (found,) = await provider.list_owned(owner.id)
    assert (found.status, found.said) == (status, said)


async def test_a_terminated_pod_is_gone(provider, account, named, owner):
    account.pods["id-n1"] = named(status="TERMINATED")
    assert await provider.list_owned(owner.id) == []
    assert await provider.get("n1", {"kind": "pod", "id": "id-n1"}) is None


@pytest.mark.parametrize(
    "name",
    [
        "mine",
        "",
        "cdt-",
        f"cdt-{OTHER}-n1",
        "cdt-{owner}-",
        "cdt-{owner}-N1!",
        "cdt-{owner}",
        "x-cdt-{owner}-n1",
    ],
)
async def test_foreign_pods_are_nobodys_nodes(provider, account, owner, name):
    account.pods["p1"] = pod(id="p1", name=name.replace("{owner}", owner.id))
    assert await provider.list_owned(owner.id) == []
    await provider.destroy("n1")
    assert list(account.pods) == ["p1"]


async def test_a_renamed_node_is_found_by_its_tags(provider, account, make_spec, owner):
    made = await provider.create(make_spec())
    account.pods["pods0"]["name"] = "my favourite"
    assert [view.node_id for view in await provider.list_owned(owner.id)] == [made.node_id]
    account.pods["pods0"]["env"] = {}
    assert await provider.list_owned(owner.id) == []
    assert (await provider.get(made.node_id, made.handle)).handle == made.handle


async def test_doubles_are_each_listed_and_all_destroyed_without_a_handle(provider, account, named, owner):
    account.pods = {"a": named(id="a", status="STARTING"), "b": named(id="b"), "c": named("n2", id="c")}
    assert [view.handle["id"] for view in await provider.list_owned(owner.id)] == ["a", "b", "c"]
    assert (await provider.get("n1")).handle["id"] == "b", "the one that serves"
    await provider.destroy("n1", {"kind": "pod", "id": "a"})
    assert list(account.pods) == ["b", "c"]
    account.pods["a"] = named(id="a")
    await provider.destroy("n1")
    assert list(account.pods) == ["c"]
    await provider.destroy("n1")


async def test_one_double_that_cannot_be_deleted_does_not_save_the_others(provider, account, named):
    account.pods = {"a": named(id="a"), "b": named(id="b")}
    account.answer("DELETE /v2/pods/a", problem(500, "no"))
    with pytest.raises(AmbiguousAnswer):
        await provider.destroy("n1")
    assert list(account.pods) == ["a"]


async def test_absent_is_what_neither_the_id_nor_the_list_shows(provider, account, named):
    account.pods["id-n1"] = named()
    handle = {"kind": "pod", "id": "id-n1"}
    account.answer("GET /v2/pods/", problem(404, "pod not found"))
    assert (await provider.get("n1", handle)).handle == handle, "the list has it still"
    account.pods.clear()
    assert await provider.get("n1", handle) is None


async def test_forgetting_removes_what_has_exited_and_nothing_that_lives(provider, account, named):
    account.pods = {"a": named(id="a", status="EXITED"), "b": named(id="b")}
    with pytest.raises(NodeFailed, match="still lives"):
        await provider.forget("n1")
    assert len(account.pods) == 2
    del account.pods["b"]
    await provider.forget("n1")
    await provider.forget("n1")
    assert account.pods == {}


async def test_endpoints_are_nodes_too(provider, account, make_spec, owner):
    made = await provider.create(make_spec(serverless=True))
    assert made.handle == {"kind": "endpoint", "id": "serverless0"}
    (listed,) = await provider.list_owned(owner.id)
    assert (listed.serverless, listed.status, listed.node_id) == (True, NodeStatus.RUNNING, made.node_id)
    assert (await provider.get(made.node_id, made.handle)).serverless
    url = await provider.endpoint(listed, 8000)
    assert url == "https://api.runpod.ai/v2/serverless0/openai"
    await provider.destroy(made.node_id)
    assert account.endpoints == {}


async def test_an_endpoint_takes_the_accounts_key_and_a_pod_a_token_of_its_own(provider, make_spec):
    pod_node = await provider.create(make_spec())
    endpoint = await provider.create(make_spec(serverless=True, node_id="n2"))
    assert (await provider.get(pod_node.node_id, pod_node.handle)).token is None
    for handle in (endpoint.handle, None):
        found = await provider.get("n2", handle)
        assert found.token.get_secret_value() == KEY
        assert KEY not in repr(found)


async def test_a_pod_is_reached_through_the_proxy_once_it_runs(open_provider, account, named):
    account.pods["id-n1"] = named(status="STARTING")
    provider = open_provider()
    assert await provider.endpoint(await provider.get("n1"), 8000) is None
    account.pods["id-n1"]["status"] = "RUNNING"
    view = await provider.get("n1")
    assert await provider.endpoint(view, 8000) == "https://id-n1-8000.proxy.runpod.net"
    simulated = open_provider(runpod_proxy_url="http://127.0.0.1:9/proxy/{pod_id}/{port}")
    assert await simulated.endpoint(view, 8000) == "http://127.0.0.1:9/proxy/id-n1/8000"


@pytest.mark.parametrize("method", ["get", "destroy", "forget", "logs", "billed_usd"])
async def test_an_unsafe_id_reaches_no_request(provider, account, method):
    with pytest.raises(ComputeError, match="no node id"):
        await getattr(provider, method)("../pods")
    assert account.asked == []


@pytest.mark.parametrize(
    "handle",
    [
        {},
        {"kind": "pod"},
        {"kind": "pod", "id": "../x"},
        {"kind": "vm", "id": "x"},
        {"kind": "pod", "id": ""},
    ],
)
async def test_a_handle_that_is_none_reaches_no_request(provider, account, handle):
    with pytest.raises(ProviderRejected, match="no handle"):
        await provider.destroy("n1", handle)
    assert account.asked == []


async def test_a_log_is_read_from_the_event_stream_as_far_as_it_goes(provider, account):
    events = "".join(f"id: {n}\ndata: {json.dumps({'line': f'line {n}'})}\n\n" for n in range(3))
    account.answer("GET /v2/pods/p1/logs", httpx.Response(200, content=f"{events}data: {{cut\n\n: ping\n"))
    assert await provider.logs("n1", {"kind": "pod", "id": "p1"}) == "line 0\nline 1\nline 2"
    assert await provider.logs("n1") == ""


async def test_a_log_is_at_most_64_kib(provider, account):
    event = json.dumps({"line": "é" * 200})
    account.answer("GET /v2/pods/p1/logs", httpx.Response(200, content=f"data: {event}\n" * 1000))
    log = await provider.logs("n1", {"kind": "pod", "id": "p1"})
    assert 60_000 < len(log.encode()) <= 65_536


async def test_the_log_of_an_endpoint_is_that_of_its_workers(provider, account):
    workers = httpx.Response(200, json={"workers": [{"id": "w1"}, {"id": "w2"}]})
    line = httpx.Response(200, content='data: {"line": "hello"}\n\n')
    account.answer("GET /v2/serverless/e1/workers/", line)
    account.answer("GET /v2/serverless/e1/workers", workers)
    log = await provider.logs("n1", {"kind": "endpoint", "id": "e1"})
    assert log == "worker w1:\nhello\nworker w2:\nhello"


async def test_the_bill_is_the_sum_of_runpods_records(provider, account, named):
    bill = httpx.Response(200, json={"records": [{"totalAmount": 1.25}, {"totalAmount": 0.5}]})
    account.answer("GET /v2/billing/pods", bill)
    assert await provider.billed_usd("n1", {"kind": "pod", "id": "p1"}) == 1.75
    assert account.asked[-1].url.params["podId"] == "p1"
    assert await provider.billed_usd("n1") is None, "no pod of it is left to be asked for"
    account.pods = {"a": named(id="a"), "b": named(id="b")}
    assert await provider.billed_usd("n1") == 3.5
    account.answer("GET /v2/billing/pods", httpx.Response(200, json={"records": []}))
    assert await provider.billed_usd("n1") is None


class Silent(httpx.AsyncBaseTransport):
    """Takes a request and never answers it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_request_that_is_never_answered_has_an_end(open_provider, account, make_spec, monkeypatch):
    monkeypatch.setattr(type(account), "transport", Silent())
    provider = open_provider(runpod_timeout_s=0.05)
    with pytest.raises(AmbiguousAnswer, match=r"within 0\.05 s"), anyio.fail_after(20):
        await provider.create(make_spec())


async def test_settings_say_how_far_its_word_is_trusted(open_provider):
    caps = open_provider(runpod_settle_s=3, runpod_absent_gap_s=0.5).caps
    assert (caps.settle_s, caps.absent_gap_s) == (3, 0.5)
    assert caps.gpus
    assert caps.costs
    assert caps.serverless
    assert not caps.this_machine
