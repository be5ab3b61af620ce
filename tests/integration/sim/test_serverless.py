"""An endpoint has workers only while there is work, and answers by jobs and by OpenAI's protocol."""

import json
import time

import httpx
import pytest

from conduit.sim.runpod import Simulator
from support.runpod_spec import check, needs_spec

MODEL = "some/model"
CONFIG = {"host": "127.0.0.1", "port": 0, "models": [{"model_id": MODEL, "max_model_concurrency": 4}]}
BODY = {
    "name": "cdt-owner-n1",
    "type": "QUEUE",
    "image": "some/worker",
    "gpu": {"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA RTX A5000"]},
    "workers": {"min": 0, "max": 1, "idleTimeout": 1},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1},
    "env": {"GPU_SERVER_CONFIG": json.dumps(CONFIG), "GPU_SERVER_TOKEN": "a-token-of-the-node"},
}
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
SLEEP = ("sleep", "600")


def client(simulator):
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    return httpx.Client(base_url=simulator.base_url, headers=headers, timeout=60, trust_env=False)


def until(look, what="it"):
    deadline = time.monotonic() + 40
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def test_an_endpoint_scales_from_zero_answers_and_scales_to_zero():
    with Simulator(provision_s=0, start_s=0) as simulator, client(simulator) as api:
        made = api.post("/v2/serverless", json=BODY).json()
        run, health = made["requestUrls"]["run"].removesuffix("/run"), made["requestUrls"]["health"]
        base = simulator.environment()["CONDUIT_RUNPOD_SERVERLESS_URL"].format(endpoint_id=made["id"])
        assert simulator.state()["processes"] == []
        answer = api.post(f"{base}/v1/chat/completions", json=QUESTION).json()
        assert answer["usage"]["completion_tokens"] > 0
        with api.stream("POST", f"{base}/v1/chat/completions", json=QUESTION | {"stream": True}) as streamed:
            lines = [line for line in streamed.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        assert lines.count("data: [DONE]") == 1
        assert [model["id"] for model in api.get(f"{base}/v1/models").json()["data"]] == [MODEL]
        refused = api.post(f"{base}/v1/chat/completions", json=QUESTION | {"model": "no/model"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "model_not_found")

        done = api.post(f"{run}/runsync", json={"input": QUESTION}).json()
        assert done["status"] == "COMPLETED"
        assert done["output"][0]["usage"]["completion_tokens"] > 0
        job = api.post(f"{run}/run", json={"input": QUESTION | {"stream": True}}).json()["id"]
        parts = []
        while (seen := api.get(f"{run}/stream/{job}").json())["status"] != "COMPLETED" or seen["stream"]:
            parts += seen["stream"]
        assert "".join(part["output"] for part in parts).endswith("data: [DONE]\n\n")
        assert api.get(f"{run}/status/{job}").json()["executionTime"] >= 0
        assert httpx.post(f"{run}/run", json={"input": {}}, trust_env=False).status_code == 401

        until(lambda: api.get(health).json()["workers"]["ready"] == 0, "scaled to zero")
        until(lambda: not simulator.state()["processes"], "no process")
        bill = api.get("/v2/billing/serverless", params={"serverlessId": made["id"]}).json()
        assert bill["metadata"]["totals"]["gpuAmount"] > 0
        assert api.delete(f"/v2/serverless/{made['id']}").status_code == 204


@needs_spec
def test_the_life_of_an_endpoint_is_as_the_document_says():
    with Simulator(server=SLEEP, provision_s=0, start_s=0) as simulator, client(simulator) as api:

        def ask(status, method, path, **how):
            response = api.request(method, path, **how)
            assert response.status_code == status, response.text
            check(response)
            return response.json() if response.content else None

        for status, change in [
            (400, {"gpu": None}),
            (400, {"cpu": [{"id": "cpu3c", "vcpuCount": 2}]}),
            (400, {"gpu": {"pools": ["NO_SUCH"]}}),
            (400, {"workers": {"min": 2, "max": 1}}),
            (422, {"type": "LOAD_BALANCER"}),
            (422, {"type": None}),
            (422, {"scaling": {"type": "QUEUE_DELAY"}}),
            (422, {"gpu": {"pools": []}}),
            (422, {"workers": {"idleTimeout": 0}}),
            (422, {"image": None}),
        ]:
            wrong = {name: value for name, value in (BODY | change).items() if value is not None}
            assert ask(status, "POST", "/v2/serverless", json=wrong)["status"] == status
        assert ask(200, "GET", "/v2/serverless") == {"endpoints": []}

        made = ask(201, "POST", "/v2/serverless", json=BODY)
        path = f"/v2/serverless/{made['id']}"
        assert ask(200, "GET", path)["gpu"]["count"] == 1
        assert ask(200, "GET", f"{path}/workers")["summary"]["total"] == 0
        changed = ask(200, "PATCH", path, json={"workers": {"min": 1}, "env": {"A": "b"}})
        assert changed["workers"] == {"min": 1, "max": 1, "idleTimeout": 1}
        (worker,) = until(lambda: ask(200, "GET", f"{path}/workers")["workers"], "a worker")
        assert (worker["status"], worker["version"], worker["gpuTypeId"]) == ("INITIALIZING", 2, "NVIDIA L4")
        releases = ask(200, "GET", f"{path}/releases")
        assert [release["version"] for release in releases["releases"]] == [2, 1]
        assert releases["rollout"]["percentOnLatest"] == 100
        assert ask(200, "GET", "/v2/pods") == {"pods": []}
        ask(400, "PATCH", path, json={"cpu": [{"id": "cpu3c", "vcpuCount": 2}]})
        with api.stream("GET", f"{path}/workers/{worker['id']}/logs") as log:
            ask(204, "DELETE", path)
            assert any("container" in line for line in log.iter_lines())
        check(log)
        ask(404, "GET", path)
        ask(404, "DELETE", path)
        until(lambda: not simulator.state()["processes"], "no process")


def test_a_job_whose_worker_dies_is_done_by_the_next_one():
    with Simulator(provision_s=0, start_s=0) as simulator, client(simulator) as api:
        simulator.inject("pod=dies:1,seconds=0")
        made = api.post("/v2/serverless", json=BODY).json()
        url = made["requestUrls"]["runSync"]
        assert api.post(url, json={"input": QUESTION}).json()["status"] == "COMPLETED"
        assert len([pod for pod in simulator.state()["pods"] if pod["endpoint"]]) == 2


@pytest.mark.parametrize("given", [{"input": 3}, {"input": {"nothing": 1}}])
def test_a_job_that_asks_for_nothing_fails(given):
    with Simulator(provision_s=0, start_s=0) as simulator, client(simulator) as api:
        url = api.post("/v2/serverless", json=BODY).json()["requestUrls"]["runSync"]
        assert api.post(url, json=given).json()["status"] == "FAILED"
        assert api.post(url, json={}).status_code == 400


def test_a_queued_job_can_be_cancelled():
    with Simulator(max_pods=0) as simulator, client(simulator) as api:
        urls = api.post("/v2/serverless", json=BODY).json()["requestUrls"]
        job = api.post(urls["run"], json={"input": QUESTION}).json()["id"]
        assert api.post(urls["cancel"].replace("%7Bjob_id%7D", job)).json()["status"] == "CANCELLED"
        api.post(urls["run"], json={"input": QUESTION})
        assert api.post(urls["purgeQueue"]).json()["removed"] == 1
