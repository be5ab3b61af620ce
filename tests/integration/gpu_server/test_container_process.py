"""The server as a container runs it: no file of its own, no home folder, any user, health asked by a command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-m", "gpu_server"]
ANY_USER = 10_001
TOKEN = "container-token"


def poll(condition, what, within_s=30.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


def user():
    """A user without an entry anywhere, where this process may become one who can run the interpreter."""
    if os.geteuid() != 0:
        return {}
    other = {"user": ANY_USER, "group": 0, "extra_groups": []}
    try:
        found = subprocess.run([*COMMAND, "--version"], check=False, capture_output=True, cwd="/", **other)
    except PermissionError:
        return {}
    return other if found.returncode == 0 else {}


@pytest.fixture
def place():
    """A folder that any user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="conduit-container-") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def run(folder, place):
    """Starts the server with its configuration in the environment."""
    started = []
    model = shutil.copytree(folder, place / "models" / "random")
    for each in (model.parent, *model.parent.rglob("*")):
        each.chmod(0o755)

    def start(**changes):
        config = {
            "announce": str(place / "announce.json"),
            "models": [{"model_id": "random", "path": str(model), "max_model_len": 128}],
        }
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/dev/null/nowhere",
            "GPU_SERVER_TOKEN": TOKEN,
            "GPU_SERVER_CONFIG": json.dumps(config),
        } | changes
        process = subprocess.Popen(
            [*COMMAND, "--host", "127.0.0.1", "--port", "0"],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **user(),
        )
        started.append(process)
        return process, place / "announce.json"

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def is_live(port):
    return subprocess.run([*COMMAND, "--is-live", "--port", str(port)], check=False, timeout=30).returncode


def test_it_needs_no_file_no_home_and_no_name(run):
    process, announce = run()
    poll(lambda: announce.exists() or process.poll() is not None, "the announce file")
    port = json.loads(announce.read_text())["port"]
    assert is_live(port) == 0
    url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {TOKEN}"}
    poll(lambda: httpx.get(f"{url}/ready", headers=headers, timeout=5).status_code == 200, "readiness")
    body = {"model": "random", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert is_live(port) == 1


@pytest.mark.skipif(not user(), reason="no other user can run this interpreter")
def test_a_model_that_its_user_may_not_read_is_a_clear_failure(run, place):
    (place / "models").chmod(0o700)
    process, _ = run()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "may not be read" in stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"GPU_SERVER_CONFIG": ""}, "give --config FILE, or its JSON in GPU_SERVER_CONFIG"),
        ({"GPU_SERVER_CONFIG": "{"}, "the configuration in GPU_SERVER_CONFIG is not valid"),
        ({"GPU_SERVER_CONFIG": '{"models": []}'}, "models"),
        ({"GPU_SERVER_TOKEN": ""}, "GPU_SERVER_TOKEN"),
    ],
)
def test_a_wrong_environment_is_told_and_nothing_starts(run, changes, said):
    process, announce = run(**changes)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said in stderr
    assert not announce.exists()


def test_the_health_check_wants_a_port():
    done = subprocess.run([*COMMAND, "--is-live"], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_the_console_script_is_the_same_command():
    script = Path(sys.executable).with_name("conduit-gpu-server")
    shown = subprocess.run([script, "--version"], check=True, capture_output=True, text=True, timeout=30)
    assert shown.stdout.startswith("gpu_server ")
