"""The worker on RunPod's own SDK, in an environment of the SDK's own, over the SDK's local API."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from support import runpod_queue
from support.client_environments import runpod_python

GPU_SERVER = Path(__file__).parents[3] / "gpu_server"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    def __init__(self, folder, models, environment=None, *, api=True):
        config = folder / "config.json"
        config.write_text(json.dumps({"models": models, "idle_timeout_s": 0.1, "drain_s": 0.1}))
        self.port = free_port()
        local = ["--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(self.port)]
        self.log = folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(runpod_python(), "-m", "gpu_server", "serverless", "--config", str(config)),
                    *("--server", shlex.join([sys.executable, "-m", "gpu_server"])),
                    *(local if api else []),
                ],
                env={
                    **os.environ,
                    "PYTHONPATH": str(GPU_SERVER),
                    "RUNPOD_API_KEY": "rpa_of_the_worker",
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/openapi.json", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def run(self, **given):
        answer = httpx.post(f"http://127.0.0.1:{self.port}/runsync", json={"input": given}, timeout=30)
        return answer.json()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def family(self):
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def worker(tmp_path_factory, model, wait_until):
    running = Worker(tmp_path_factory.mktemp("worker"), [model()])
    try:
        wait_until(running.is_up, "the SDK's local API")
        yield running
        family = running.family()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(20)
        psutil.wait_procs(family, 5)
        assert [process for process in family if process.is_running()] == []
    finally:
        running.end()


CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0}


def test_a_chat_by_openais_route_is_answered_whole(worker):
    done = worker.run(openai_route="/v1/chat/completions", openai_input=CHAT)
    assert done["status"] == "COMPLETED"
    [answer] = done["output"]
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["completion_tokens"] == 4


def test_a_stream_by_openais_route_arrives_as_events(worker):
    done = worker.run(openai_route="/v1/chat/completions", openai_input={**CHAT, "stream": True})
    text = "".join(done["output"])
    assert text.startswith("data: {")
    assert text.endswith("data: [DONE]\n\n")


def test_a_plain_job_streams_chunks(worker):
    done = worker.run(**CHAT, stream=True)
    assert {chunk["object"] for chunk in done["output"]} == {"chat.completion.chunk"}


def test_an_error_has_openais_form(worker):
    done = worker.run(openai_route="/v1/chat/completions", openai_input={**CHAT, "max_tokens": 10_000})
    [piece] = done["output"]
    assert piece["error"]["code"] == "context_length_exceeded"


def test_the_server_behind_it_learns_no_key_of_the_platform(worker):
    for process in worker.family():
        if "gpu_server" in " ".join(process.cmdline()):
            assert "rpa_of_the_worker" not in str(process.environ())


def test_on_the_platform_a_lost_engine_fails_its_job_and_the_worker_asks_to_be_replaced(
    tmp_path, model, wait_until
):
    with runpod_queue.running() as queue:
        worker = Worker(tmp_path, [model(max_model_len=2048)], queue.environment(), api=False)
        try:
            queue.add("first", CHAT)
            wait_until(lambda: "first" in queue.results, "the first result", 60)
            assert queue.results["first"]["output"][0]["object"] == "chat.completion"
            queue.add("second", {**CHAT, "max_tokens": 1500, "ignore_eos": True, "stream": True})
            wait_until(lambda: queue.streamed["second"], "some of the answer")
            [engine] = [p for p in worker.family() if "gpu_server.engines.embedded" in p.cmdline()]
            engine.kill()
            wait_until(lambda: "second" in queue.results, "the end of the job")
            assert json.loads(queue.results["second"]["error"])["code"] == "engine_lost"
            assert queue.results["second"]["stopPod"] is True
            assert worker.process.wait(30) == 0, worker.log.read_text()
        finally:
            worker.end()


def test_a_model_that_cannot_be_loaded_ends_the_worker(tmp_path):
    worker = Worker(tmp_path, [{"model_id": "m", "path": str(tmp_path / "nothing")}])
    assert worker.process.wait(60) == 4, worker.log.read_text()
    assert "does not exist" in worker.log.read_text()


def test_without_the_sdk_the_worker_names_what_to_install():
    done = subprocess.run(
        [sys.executable, "-m", "gpu_server", "serverless"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "pip install 'conduit-gpu-server[serverless]'" in done.stderr
