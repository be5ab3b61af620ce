"""Each fault shows to a caller as what it stands for, and the simulator knows what is true."""

import time

import httpx
import pytest

from conduit.sim.runpod import Simulator

BODY = {"name": "cdt-owner-n1", "gpu": {"id": "NVIDIA L4"}, "image": "some/image", "ports": ["8000/http"]}
CONFIGURED = BODY | {"env": {"GPU_SERVER_CONFIG": "{}"}}


@pytest.fixture(scope="module")
def running():
    with Simulator(server=("sleep", "600"), provision_s=0, start_s=0, max_pods=50) as simulator:
        yield simulator


@pytest.fixture
def simulator(running):
    yield running
    running.clear()


@pytest.fixture
def api(simulator):
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    with httpx.Client(base_url=simulator.base_url, headers=headers, timeout=10, trust_env=False) as client:
        yield client


def until(look, what="it"):
    deadline = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def made(simulator, name):
    return simulator.state()["creates"].get(name, 0)


def pod_of(simulator, name):
    return next(pod for pod in reversed(simulator.state()["pods"]) if pod["name"] == name)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("create=no-capacity:1", 400, "no longer any instances"),
        ("create=402:1", 402, "balance"),
        ("create=403:1", 403, "denied"),
        ("create=429:1,retry_after=7", 429, "limit"),
        ("create=500:1", 500, "failure"),
        ("create=html:1", 502, "<html>"),
        ("create=garbage:1", 200, '{"id'),
    ],
)
def test_a_refused_create_makes_nothing_and_the_next_one_works(simulator, api, fault, status, text):
    name = f"refused-{fault}"
    simulator.inject(fault)
    response = api.post("/v2/pods", json=BODY | {"name": name})
    assert (response.status_code, text in response.text) == (status, True)
    if status == 429:
        assert response.headers["retry-after"] == "7"
    assert made(simulator, name) == 0
    assert api.post("/v2/pods", json=BODY | {"name": name}).status_code == 201


@pytest.mark.parametrize("fault", ["500-after", "502-after", "html-after", "garbage-after"])
def test_an_answer_may_be_spoilt_after_the_pod_was_made(simulator, api, fault):
    simulator.inject(f"create={fault}:1")
    response = api.post("/v2/pods", json=BODY | {"name": fault})
    assert response.status_code != 201
    assert made(simulator, fault) == 1


@pytest.mark.parametrize(("fault", "count"), [("cut", 0), ("cut-after", 1), ("stall", 0), ("hang", 1)])
def test_an_answer_may_never_come(simulator, api, fault, count):
    simulator.inject(f"create={fault}:1")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.ReadError)):
        api.post("/v2/pods", json=BODY | {"name": f"lost-{fault}"}, timeout=0.5)
    assert made(simulator, f"lost-{fault}") == count


def test_a_fault_may_wait_for_one_gpu_type_and_one_name(simulator, api):
    simulator.inject("create=no-capacity,gpu=NVIDIA L4,name=cdt-")
    assert api.post("/v2/pods", json=BODY).status_code == 400
    assert api.post("/v2/pods", json=BODY | {"gpu": {"id": "NVIDIA A40"}}).status_code == 201
    assert api.post("/v2/pods", json=BODY | {"name": "other"}).status_code == 201
    assert api.post("/v2/pods", json=BODY).status_code == 400


def test_a_slow_list_comes_in_the_end(simulator, api):
    simulator.inject("list=slow:1,seconds=0.5")
    with pytest.raises(httpx.ReadTimeout):
        api.get("/v2/pods", timeout=0.1)
    assert api.get("/v2/pods").status_code == 200


@pytest.mark.parametrize("where", ["list", "get", "both"])
def test_a_fresh_pod_may_be_invisible_for_a_while(simulator, api, where):
    simulator.inject(f"pod=invisible:1,seconds=1,where={where}")
    pod_id = api.post("/v2/pods", json=BODY).json()["id"]

    def listed():
        return pod_id in [pod["id"] for pod in api.get("/v2/pods").json()["pods"]]

    def shown():
        return api.get(f"/v2/pods/{pod_id}").status_code == 200

    assert listed() == (where == "get")
    assert shown() == (where == "list")
    until(lambda: listed() and shown())


def test_a_pod_may_never_become_ready_and_costs_all_the_same(simulator, api):
    simulator.inject("pod=never-ready:1")
    pod_id = api.post("/v2/pods", json=BODY | {"name": "never"}).json()["id"]
    until(lambda: pod_of(simulator, "never")["usd"] > 0)
    assert api.get(f"/v2/pods/{pod_id}").json()["status"] == "PROVISIONING"
    assert api.delete(f"/v2/pods/{pod_id}").status_code == 204


def test_a_pod_may_live_on_after_its_first_204(simulator, api):
    simulator.inject("pod=undead:1")
    pod_id = api.post("/v2/pods", json=BODY | {"name": "undead"}).json()["id"]
    until(lambda: pod_of(simulator, "undead")["status"] == "RUNNING")
    assert api.delete(f"/v2/pods/{pod_id}").status_code == 204
    assert pod_of(simulator, "undead")["process_alive"]
    assert api.get(f"/v2/pods/{pod_id}").json()["status"] == "RUNNING"
    assert api.delete(f"/v2/pods/{pod_id}").status_code == 204
    assert api.get(f"/v2/pods/{pod_id}").status_code == 404
    until(lambda: not pod_of(simulator, "undead")["process_alive"])


def test_a_pod_may_end_some_time_after_its_204(simulator, api):
    simulator.inject("pod=undead:1,seconds=0.5")
    pod_id = api.post("/v2/pods", json=BODY).json()["id"]
    assert api.delete(f"/v2/pods/{pod_id}").status_code == 204
    assert api.get(f"/v2/pods/{pod_id}").status_code == 200
    until(lambda: api.get(f"/v2/pods/{pod_id}").status_code == 404)


def test_a_pod_may_die(simulator, api):
    simulator.inject("pod=dies:1,seconds=0.1")
    pod_id = api.post("/v2/pods", json=BODY).json()["id"]
    until(lambda: api.get(f"/v2/pods/{pod_id}").json()["status"] == "EXITED")
    assert api.get(f"/v2/pods/{pod_id}").json()["cost"] == 0.0


def test_a_pod_may_restart_with_another_process(simulator, api):
    simulator.inject("pod=restarts:1,seconds=0.3")
    api.post("/v2/pods", json=BODY | {"name": "again"})
    first = until(lambda: pod_of(simulator, "again")["pid"])
    until(lambda: pod_of(simulator, "again")["pid"] != first)
    until(lambda: pod_of(simulator, "again")["status"] == "RUNNING")
    assert pod_of(simulator, "again")["restarts"] == 1


def test_two_pods_of_one_name_are_counted_as_doubles(simulator, api):
    ids = [api.post("/v2/pods", json=BODY | {"name": "twin"}).json()["id"] for _ in range(2)]
    assert "twin" in simulator.state()["doubles"]
    for pod_id in ids:
        api.delete(f"/v2/pods/{pod_id}")
    assert "twin" not in simulator.state()["doubles"]
    assert "twin" in simulator.state()["ever_doubled"]


def test_the_admin_routes_are_closed_to_the_api_key(simulator, api):
    assert api.get("/sim/state").status_code == 401
    assert api.post("/sim/faults", json={"at": "create", "kind": "500"}).status_code == 401


@pytest.mark.parametrize(("fault", "status"), [("503", 503), ("html", 502)])
def test_the_proxy_may_refuse_a_request_and_then_pass_it_on(simulator, api, fault, status):
    pod_id = api.post("/v2/pods", json=BODY).json()["id"]
    url = simulator.proxy_url.format(pod_id=pod_id, port=22)
    simulator.inject(f"proxy={fault}:1")
    assert api.get(f"{url}/").status_code == status
    simulator.inject("proxy=cut:1")
    with pytest.raises(httpx.RemoteProtocolError):
        api.get(f"{url}/")
    assert api.get(f"{url}/").status_code == 502
    api.delete(f"/v2/pods/{pod_id}")
