"""Pods are processes: a real server behind the proxy, and none of them outlives the simulator."""

import json
import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from conduit.errors import ProviderUnavailable
from conduit.sim.runpod import Simulator

TOKEN = "a-token-of-the-node"
CONFIG = {
    "host": "0.0.0.0",
    "port": 8000,
    "models": [
        {
            "model_id": "some/large-model",
            "engine": "sglang",
            "max_model_len": 4096,
            "max_model_concurrency": 4,
            "memory_fraction": 0.9,
            "engine_args": ["--tp", "8"],
        }
    ],
}


def client(simulator, **how):
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    return httpx.Client(base_url=simulator.base_url, headers=headers, timeout=20, trust_env=False, **how)


def body(**env):
    given = {"GPU_SERVER_CONFIG": json.dumps(CONFIG), "GPU_SERVER_TOKEN": TOKEN, "CONDUIT_NODE": "n1", **env}
    return {"name": "node", "gpu": {"id": "NVIDIA L4"}, "image": "i", "ports": ["8000/http"], "env": given}


def until(look, what="it", seconds=40):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def test_a_pod_serves_its_models_through_the_proxy():
    with Simulator() as simulator, client(simulator) as api:
        pod_id = api.post("/v2/pods", json=body()).json()["id"]
        server = httpx.Client(
            base_url=simulator.proxy_url.format(pod_id=pod_id, port=8000),
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=30,
        )
        with server:
            until(lambda: server.get("ready").status_code == 200, "ready")
            question = {
                "model": "some/large-model",
                "messages": [{"role": "user", "content": "Hi"}],
                "max_tokens": 4,
            }
            answer = server.post("v1/chat/completions", json=question).json()
            assert answer["usage"]["completion_tokens"] > 0
            with server.stream("POST", "v1/chat/completions", json=question | {"stream": True}) as streamed:
                lines = [line for line in streamed.iter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            assert httpx.get(f"{server.base_url}/v1/models", trust_env=False).status_code == 401
            assert server.get(f"{simulator.base_url}/proxy/{pod_id}/22/").status_code == 502
            before = api.get(f"/v2/pods/{pod_id}").json()["runtime"]["ports"][0]["public"]
            simulator.restart(pod_id)
            until(lambda: server.get("live").status_code == 200, "live again")
            assert api.get(f"/v2/pods/{pod_id}").json()["runtime"]["ports"][0]["public"] != before
            assert api.delete(f"/v2/pods/{pod_id}").status_code == 204
            assert server.get("live").status_code == 404
        until(lambda: not simulator.state()["processes"], "no process")


def test_a_pods_own_key_ends_that_pod_and_nothing_else():
    program = (
        "import os, urllib.request as u\n"
        "def ask(method, path):\n"
        "    key = {'Authorization': 'Bearer ' + os.environ['RUNPOD_API_KEY']}\n"
        "    url = os.environ['RUNPOD_API_BASE_URL'] + path\n"
        "    try: return u.urlopen(u.Request(url, method=method, headers=key)).status\n"
        "    except u.HTTPError as error: return error.code\n"
        "own = '/v2/pods/' + os.environ['RUNPOD_POD_ID']\n"
        "print(ask('GET', '/v2/pods'), ask('DELETE', '/v2/pods/another'), ask('GET', own), flush=True)\n"
        "ask('DELETE', own)\n"
    )
    with Simulator(server=(sys.executable, "-c", program), foreign=1) as simulator, client(simulator) as api:
        pod_id = api.post("/v2/pods", json=body()).json()["id"]
        with api.stream("GET", f"/v2/pods/{pod_id}/logs", params={"source": "container"}) as log:
            said = "".join(log.iter_lines())
        assert "403 403 200" in said
        until(lambda: api.get(f"/v2/pods/{pod_id}").status_code == 404, "gone")
        assert len(api.get("/v2/pods").json()["pods"]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ties a process to its parent on Linux only")
def test_a_killed_simulator_takes_its_pods_along():
    with Simulator(server=("sleep", "600"), foreign=1) as simulator, client(simulator) as api:
        api.post("/v2/pods", json=body())
        until(lambda: simulator.state()["processes"])
        children = psutil.Process(simulator.pid).children(recursive=True)
        assert len(children) == 2
        os.kill(simulator.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(children, timeout=20)
        assert left == []


def test_an_ended_simulator_leaves_no_process_even_a_stubborn_one():
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    with (
        Simulator(server=(sys.executable, "-c", stubborn), stop_s=0.2) as simulator,
        client(simulator) as api,
    ):
        pod_id = api.post("/v2/pods", json=body()).json()["id"]
        until(lambda: api.get(f"/v2/pods/{pod_id}").json()["status"] == "RUNNING")
        kept = api.post("/v2/pods", json=body()).json()["id"]
        until(lambda: api.get(f"/v2/pods/{kept}").json()["status"] == "RUNNING")
        children = psutil.Process(simulator.pid).children()
        api.delete(f"/v2/pods/{pod_id}")
        until(lambda: len(simulator.state()["processes"]) == 1, "the deleted one is killed")
    _, left = psutil.wait_procs(children, timeout=10)
    assert left == []


def test_there_is_no_room_beyond_the_limit():
    with Simulator(server=("sleep", "600"), max_pods=1, foreign=2) as simulator, client(simulator) as api:
        first = api.post("/v2/pods", json=body())
        assert api.post("/v2/pods", json=body()).status_code == 400
        api.delete(f"/v2/pods/{first.json()['id']}")
        assert api.post("/v2/pods", json=body()).status_code == 201


def test_a_silent_response_is_cut_and_a_slow_stream_is_not():
    server = (
        "import json, os, time\n"
        "from http.server import BaseHTTPRequestHandler as H, ThreadingHTTPServer as S\n"
        "class Answer(H):\n"
        "    def do_GET(self):\n"
        "        time.sleep(30 if self.path == '/silent' else 0)\n"
        "        self.send_response(200); self.end_headers()\n"
        "        for _ in range(7 if self.path == '/slow' else 1):\n"
        "            self.wfile.write(b'x'); self.wfile.flush(); time.sleep(0.3)\n"
        "        time.sleep(30 if self.path == '/stuck' else 0)\n"
        "s = S(('127.0.0.1', 0), Answer)\n"
        "path = json.loads(os.environ['GPU_SERVER_CONFIG'])['announce']\n"
        "open(path + '.new', 'w').write(json.dumps({'port': s.server_port})); os.replace(path + '.new', path)\n"
        "s.serve_forever()\n"
    )
    with (
        Simulator(server=(sys.executable, "-c", server), proxy_cut_s=1.5) as simulator,
        client(simulator) as api,
    ):
        pod_id = api.post("/v2/pods", json=body()).json()["id"]
        url = simulator.proxy_url.format(pod_id=pod_id, port=8000)
        until(lambda: api.get(f"{url}/").status_code == 200)
        assert api.get(f"{url}/silent").status_code == 524
        assert api.get(f"{url}/slow").text == "x" * 7
        with pytest.raises(httpx.RemoteProtocolError):
            api.get(f"{url}/stuck")


def test_a_taken_port_and_a_missing_model_are_said():
    with Simulator(server=("sleep", "1")) as simulator:
        port = int(simulator.base_url.rpartition(":")[2])
        with pytest.raises(ProviderUnavailable, match="cannot listen"), Simulator(port=port):
            pass
    with pytest.raises(ProviderUnavailable, match=r"config\.json"), Simulator(model="/no/such/folder"):
        pass


def test_the_command_prints_what_to_export_and_ends_on_an_interrupt(tmp_path):
    file = tmp_path / "env"
    command = [
        sys.executable,
        "-m",
        "conduit",
        "sim",
        "runpod",
        "--env",
        str(file),
        "--fault",
        "create=402:1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(8)]
            exported = [line.strip() for line in lines if line.startswith("export ")]
            assert exported == file.read_text().splitlines()
            assert file.stat().st_mode & 0o077 == 0
            shown = subprocess.run(
                ["sh", "-c", f". {file}; echo $CONDUIT_RUNPOD_BASE_URL $CONDUIT_RUNPOD_API_KEY"],
                capture_output=True,
                text=True,
                check=True,
            )
            base_url, key = shown.stdout.split()
            response = httpx.post(
                f"{base_url}/v2/pods",
                json=body(),
                headers={"Authorization": f"Bearer {key}"},
                trust_env=False,
            )
            assert response.status_code == 402
        finally:
            process.send_signal(signal.SIGINT)
            try:
                out, errors = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert process.returncode == 0, errors
    assert "402" in out
