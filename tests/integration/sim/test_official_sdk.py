"""RunPod's own SDK, in an environment of its own, works against the simulator."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from conduit.sim.runpod import Simulator
from support.client_environments import runpod_next_python, runpod_python

GPU_SERVER = Path(__file__).parents[3] / "gpu_server"
PROGRAM = """
import json, runpod
from runpod.error import QueryError
made = runpod.create_pod("node", image_name="i", gpu_type_id="NVIDIA L4", ports="8000/http", env={"A": "b"})
found = runpod.get_pod(made["id"])
listed = [pod["id"] for pod in runpod.get_pods()]
stopped = runpod.stop_pod(made["id"])["status"]
runpod.terminate_pod(made["id"])
template = runpod.create_template("t", "some/image", is_serverless=True)
endpoint = runpod.create_endpoint("e", template["id"], gpu_ids="AMPERE_24,-NVIDIA L4")
try:
    runpod.create_pod("node", image_name="i", gpu_type_id="NVIDIA L5")
except QueryError as error:
    refused = [error.status_code, str(error)]
print(json.dumps({
    "made": made, "env": found["env"], "listed": listed, "stopped": stopped, "gone": runpod.get_pod(made["id"]),
    "gpus": len(runpod.get_gpus()), "gpu": runpod.get_gpu("NVIDIA L4")["availability"],
    "endpoints": [each["id"] == endpoint["id"] for each in runpod.get_endpoints()], "refused": refused,
}))
"""


@pytest.mark.timeout(180)  # the environment is made at the first use
def test_pods_templates_endpoints_and_the_catalogue():
    python = runpod_next_python()
    with Simulator(server=("sleep", "600")) as simulator:
        variables = {"RUNPOD_API_BASE_URL": simulator.base_url, "RUNPOD_API_KEY": simulator.api_key}
        done = subprocess.run(
            [python, "-c", PROGRAM],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["made"]["gpu"] == {"id": "NVIDIA L4", "count": 1}
        assert said["env"] == {"A": "b"}
        assert said["listed"] == [said["made"]["id"]]
        assert (said["stopped"], said["gone"]) == ("EXITED", None)
        assert (said["gpu"], said["endpoints"]) == ("HIGH", [True])
        assert said["refused"] == [400, "GPU type 'NVIDIA L5' does not exist"]
        assert simulator.state()["living"] == []


@pytest.mark.timeout(180)  # the environment is made at the first use
def test_a_worker_on_the_sdk_takes_its_jobs_itself():
    server = shlex.join([sys.executable, "-m", "gpu_server"])
    worker = (runpod_python(), "-m", "gpu_server", "serverless", "--server", server)
    config = {"models": [{"model_id": "some/model", "max_model_concurrency": 4}]}
    body = {
        "name": "endpoint",
        "type": "QUEUE",
        "image": "some/worker",
        "gpu": {"pools": ["AMPERE_24"]},
        "workers": {"max": 1, "idleTimeout": 600},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "env": {"GPU_SERVER_CONFIG": json.dumps(config), "PYTHONPATH": str(GPU_SERVER)},
    }
    question = {"model": "some/model", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    with Simulator(worker=worker) as simulator:
        headers = {"Authorization": f"Bearer {simulator.api_key}"}
        with httpx.Client(base_url=simulator.base_url, headers=headers, timeout=90, trust_env=False) as api:
            made = api.post("/v2/serverless", json=body).json()
            base = simulator.environment()["CONDUIT_RUNPOD_SERVERLESS_URL"].format(endpoint_id=made["id"])
            answer = api.post(f"{base}/v1/chat/completions", json=question)
            assert answer.json()["usage"]["completion_tokens"] > 0, answer.text
            with api.stream(
                "POST", f"{base}/v1/chat/completions", json=question | {"stream": True}
            ) as streamed:
                lines = [line for line in streamed.iter_lines() if line]
            assert lines.count("data: [DONE]") == 1
            assert lines[-1] == "data: [DONE]"
            refused = api.post(f"{base}/v1/chat/completions", json=question | {"model": "no/model"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (500, "model_not_found")
            api.delete(f"/v2/serverless/{made['id']}")
