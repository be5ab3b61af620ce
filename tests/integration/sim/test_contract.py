"""Every answer of the simulator is one that RunPod's own document allows."""

import time

import httpx
import pytest

from conduit.sim.runpod import Simulator
from conduit.sim.runpod.app import PATHS
from support.runpod_spec import check, needs_spec, operations

pytestmark = needs_spec
SLEEP = ("sleep", "600")
L4 = {"id": "NVIDIA L4"}
MISSING = {"/v2/clusters", "/v2/registries/delegations"}


@pytest.fixture(scope="module")
def simulator():
    with Simulator(server=SLEEP, provision_s=0, start_s=0, foreign=1, requests_per_minute=10_000) as running:
        yield running


@pytest.fixture
def api(simulator):
    with httpx.Client(
        base_url=simulator.base_url,
        headers={"Authorization": f"Bearer {simulator.api_key}"},
        timeout=10,
        trust_env=False,
    ) as client:
        yield client


def ask(api, status, method, path, **how):
    response = api.request(method, path, **how)
    assert response.status_code == status, response.text
    check(response)
    return (
        response.json() if response.content and "json" in response.headers["content-type"] else response.text
    )


def create(api, status=201, **changes):
    body = {
        "name": "one",
        "gpu": L4,
        "image": "some/image",
        "ports": ["8000/http"],
        "env": {"A": "b"},
        **changes,
    }
    return ask(api, status, "POST", "/v2/pods", json={k: v for k, v in body.items() if v is not None})


def wait_for(api, pod_id, status):
    deadline = time.monotonic() + 20
    while (pod := ask(api, 200, "GET", f"/v2/pods/{pod_id}"))["status"] != status:
        assert time.monotonic() < deadline, pod
        time.sleep(0.02)
    return pod


def test_all_of_the_document_is_there_but_clusters_and_delegations():
    served = {(method, path) for path, methods in PATHS.items() for method in methods}
    left_out = operations() - served
    assert {path for _, path in left_out if not any(path.startswith(one) for one in MISSING)} == set()
    assert served <= operations()


def test_a_pods_whole_life(api):
    made = create(api, cloud="SECURE", dataCenterIds=["EU-RO-1"])
    assert made["status"] == "PROVISIONING"
    assert (made["cost"], made["dataCenterId"]) == (0.39, "EU-RO-1")
    pod = f"/v2/pods/{made['id']}"
    running = wait_for(api, made["id"], "RUNNING")
    assert running["actions"] == ["stop", "restart", "terminate"]
    assert made["id"] in [one["id"] for one in ask(api, 200, "GET", "/v2/pods")["pods"]]
    ask(api, 409, "POST", f"{pod}/action", json={"action": "start"})
    assert ask(api, 200, "PATCH", pod, json={"name": "two", "locked": True})["name"] == "two"
    ask(api, 409, "POST", f"{pod}/action", json={"action": "stop"})
    ask(api, 200, "PATCH", pod, json={"locked": False})
    stopped = ask(api, 200, "POST", f"{pod}/action", json={"action": "stop"})
    assert (stopped["status"], stopped["cost"], stopped["actions"]) == ("EXITED", 0.0, ["start", "terminate"])
    ask(api, 409, "POST", f"{pod}/action", json={"action": "restart"})
    ask(api, 200, "POST", f"{pod}/action", json={"action": "start"})
    wait_for(api, made["id"], "RUNNING")
    ask(api, 200, "POST", f"{pod}/action", json={"action": "restart"})
    wait_for(api, made["id"], "RUNNING")
    ask(api, 204, "DELETE", pod)
    ask(api, 404, "GET", pod)
    ask(api, 404, "DELETE", pod)
    assert made["id"] not in [one["id"] for one in ask(api, 200, "GET", "/v2/pods")["pods"]]


def test_a_pod_on_cpus_has_memory_and_no_gpu(api):
    made = create(api, gpu=None, cpu={"id": "cpu3c", "vcpuCount": 4})
    assert made["cpu"]["memory"] == 8
    assert "gpu" not in made
    ask(api, 204, "POST", f"/v2/pods/{made['id']}/action", json={"action": "terminate"})


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (400, {"gpu": None}),
        (400, {"cpu": {"id": "cpu3c", "vcpuCount": 2}}),
        (422, {"image": None}),
        (422, {"name": ""}),
        (422, {"disk": 0}),
        (422, {"disk": "50"}),
        (422, {"tags": ["one"]}),
        (422, {"env": {"A": 1}}),
        (422, {"cloud": "ANY"}),
        (422, {"gpu": {"count": 1}}),
        (422, {"gpu": L4 | {"count": 0}}),
        (422, {"mounts": {"persistent": {"size": 5, "path": "/x"}}}),
        (
            400,
            {
                "mounts": {
                    "persistent": {"size": 10, "path": "/x"},
                    "network": [{"volumeId": "v", "path": "/y"}],
                }
            },
        ),
        (400, {"gpu": {"id": "NVIDIA L5"}}),
        (400, {"gpu": L4 | {"count": 9}}),
        (400, {"cloud": "COMMUNITY"}),
        (400, {"dataCenterIds": ["US-KS-2"]}),
        (400, {"dataCenterIds": ["MOON-1"]}),
        (400, {"ports": ["8000"]}),
        (400, {"gpu": None, "cpu": {"id": "cpu3c", "vcpuCount": 3}}),
        (404, {"templateId": "nothing"}),
    ],
)
def test_a_wrong_request_makes_no_pod(api, simulator, status, changes):
    before = simulator.state()["creates"]
    problem = create(api, status, **changes)
    assert problem["status"] == status
    assert bool(problem.get("errors")) == (status == 422)
    assert simulator.state()["creates"] == before


def test_a_lack_of_capacity_differs_from_a_wrong_request_by_its_text_alone(api):
    lacking = create(api, 400, cloud="COMMUNITY")
    assert lacking["title"] == "Bad Request"
    assert "no longer any instances available" in lacking["detail"]


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}]
)
def test_no_key_and_a_wrong_key_are_401(api, headers):
    for method, path in [("GET", "/v2/pods"), ("DELETE", "/v2/pods/x"), ("GET", "/v2/billing/pods")]:
        assert ask(api, 401, method, path, headers=headers)["title"] == "Unauthorized"


def test_every_answer_says_how_much_of_the_limit_is_left(api):
    response = api.get("/v2/pods")
    assert response.headers["ratelimit-policy"] == '"minute";q=10000;w=60'
    assert response.headers["ratelimit"].startswith('"minute";r=')


def test_templates_volumes_registries_and_keys(api):
    made = ask(
        api, 201, "POST", "/v2/templates", json={"name": "t", "image": "some/image", "env": {"X": "1"}}
    )
    template = f"/v2/templates/{made['id']}"
    assert ask(api, 200, "PATCH", template, json={"disk": 20})["disk"] == 20
    pod = create(api, image=None, env=None, templateId=made["id"])
    assert (pod["image"], pod["env"], pod["disk"]) == ("some/image", {"X": "1"}, 20)
    ask(api, 400, "DELETE", template)
    ask(api, 204, "DELETE", f"/v2/pods/{pod['id']}")
    ask(api, 200, "GET", "/v2/templates")
    ask(api, 200, "GET", "/v2/catalog/templates")
    ask(api, 204, "DELETE", template)
    ask(api, 404, "GET", template)

    made = ask(
        api, 201, "POST", "/v2/network-volumes", json={"name": "v", "size": 20, "dataCenter": "EU-RO-1"}
    )
    volume = f"/v2/network-volumes/{made['id']}"
    ask(api, 400, "PATCH", volume, json={"size": 10})
    ask(api, 422, "PATCH", volume, json={})
    assert ask(api, 200, "PATCH", volume, json={"size": 30})["size"] == 30
    mounts = {"network": [{"volumeId": made["id"], "path": "/models"}]}
    pod = create(api, mounts=mounts)
    assert (pod["dataCenterId"], pod["mounts"]) == ("EU-RO-1", mounts)
    create(api, 400, mounts=mounts, dataCenterIds=["EU-SE-1"])
    ask(api, 200, "GET", volume)
    ask(api, 200, "GET", "/v2/network-volumes")
    ask(api, 204, "DELETE", volume)

    made = ask(
        api, 201, "POST", "/v2/registries", json={"name": "r", "username": "u", "password": "secret-word"}
    )
    assert "secret-word" not in str(ask(api, 200, "GET", "/v2/registries"))
    ask(api, 200, "GET", f"/v2/registries/{made['id']}")
    ask(api, 204, "DELETE", f"/v2/registries/{made['id']}")
    ask(api, 200, "PUT", "/v2/account/ssh-keys", json={"keys": ["ssh-ed25519 AAAA someone"]})
    assert ask(api, 200, "GET", "/v2/account/ssh-keys") == {"keys": ["ssh-ed25519 AAAA someone"]}
    ask(api, 422, "PUT", "/v2/account/ssh-keys", json={"keys": ["nonsense"]})


def test_the_catalogue(api):
    plain = ask(api, 200, "GET", "/v2/catalog/gpus")["gpus"]
    assert not any("availability" in gpu for gpu in plain)
    free = {"include": "AVAILABILITY", "product": "POD"}
    shown = {gpu["id"]: gpu for gpu in ask(api, 200, "GET", "/v2/catalog/gpus", params=free)["gpus"]}
    assert shown["NVIDIA L4"]["availability"] == "HIGH"
    one = ask(api, 200, "GET", "/v2/catalog/gpus/NVIDIA L4", params=free | {"cloud": "COMMUNITY"})
    assert one["availability"] == "NONE"
    romania = ask(api, 200, "GET", "/v2/catalog/gpus", params=free | {"countryCodes": "RO", "count": "9"})[
        "gpus"
    ]
    assert {gpu["availability"] for gpu in romania} == {"NONE", "HIGH"}
    assert "NVIDIA A100 80GB PCIe" not in [gpu["id"] for gpu in romania]
    for wrong in ({"include": "AVAILABILITY"}, {"product": "POD"}, {"count": "2"}):
        ask(api, 400, "GET", "/v2/catalog/gpus", params=wrong)
    for wrong in ({"include": "PRICES"}, free | {"count": "0"}, free | {"countryCodes": "ro"}):
        ask(api, 422, "GET", "/v2/catalog/gpus", params=wrong)
    ask(api, 404, "GET", "/v2/catalog/gpus/NVIDIA L5")
    ask(api, 200, "GET", "/v2/catalog/cpus", params=free)
    ask(api, 200, "GET", "/v2/catalog/cpus/cpu3c", params=free | {"vcpuCount": "4"})
    ask(api, 400, "GET", "/v2/catalog/cpus", params=free | {"vcpuCount": "3"})
    places = ask(
        api, 200, "GET", "/v2/catalog/datacenters", params={"include": "GPU_AVAILABILITY,CPU_AVAILABILITY"}
    )
    assert all(place["gpuAvailability"] for place in places["dataCenters"])
    europe = ask(
        api, 200, "GET", "/v2/catalog/datacenters", params={"regions": "EUROPE", "globalNetwork": "true"}
    )
    assert [place["id"] for place in europe["dataCenters"]] == ["EU-RO-1"]
    ask(api, 200, "GET", "/v2/catalog/datacenters/EU-RO-1")
    ask(api, 404, "GET", "/v2/catalog/datacenters/MOON-1")


def test_the_bill_is_that_of_the_seconds_lived(api, simulator):
    made = create(api, name="billed", gpu={"id": "NVIDIA B200", "count": 2})
    wait_for(api, made["id"], "RUNNING")
    ask(api, 204, "DELETE", f"/v2/pods/{made['id']}")
    (truth,) = [pod for pod in simulator.state()["pods"] if pod["name"] == "billed"]
    seconds = truth["terminated_at"] - truth["created_at"]
    for size in ("hour", "day", "week", "month", "year"):
        query = {"podId": made["id"], "bucketSize": size, "lastN": 2}
        bill = ask(api, 200, "GET", "/v2/billing/pods", params=query)
        total = bill["metadata"]["totals"]["totalAmount"]
        assert total == pytest.approx(2 * 5.98 * seconds / 3600)
        assert sum(record["gpuAmount"] for record in bill["records"]) == pytest.approx(total)
        assert bill["metadata"]["uniquePodCount"] == 1
    everything = ask(api, 200, "GET", "/v2/billing")["metadata"]["totals"]
    assert everything["podGpuAmount"] > total
    later = ask(
        api,
        200,
        "GET",
        "/v2/billing/pods",
        params={"startTime": "2100-01-01T00:00:00Z", "endTime": "2100-02-01T00:00:00Z"},
    )
    assert later["records"] == []
    for path in ("serverless", "endpoints", "network-volumes", "clusters"):
        ask(api, 200, "GET", f"/v2/billing/{path}")
    ask(api, 400, "GET", "/v2/billing", params={"lastN": 1, "startTime": "2026-01-01T00:00:00Z"})
    ask(
        api,
        400,
        "GET",
        "/v2/billing",
        params={"startTime": "9999-12-31T00:00:00Z", "endTime": "9999-12-31T23:00:00Z"},
    )
    ask(api, 422, "GET", "/v2/billing", params={"startTime": "yesterday"})


def test_a_log_streams_until_the_pod_ends(api):
    made = create(api, name="logged")
    pod = f"/v2/pods/{made['id']}"
    wait_for(api, made["id"], "RUNNING")
    with api.stream("GET", f"{pod}/logs", params={"source": "system"}) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("id: ")
        assert '"source": "system"' in next(lines)
        ask(api, 204, "DELETE", pod)
        assert any("start container" in line for line in lines)
    check(response)
    ask(api, 404, "GET", f"{pod}/logs")
