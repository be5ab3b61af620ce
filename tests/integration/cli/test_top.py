"""``conduit top`` beside real replicas at work, in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from conduit import LMLite, ModelConfig

TOP = [sys.executable, "-m", "conduit", "top"]
DEADLINE_S = 40.0


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A deployment of two replicas that have answered twenty calls."""
    folder = tmp_path_factory.mktemp("top")
    environment = os.environ | {"CONDUIT_DATA_DIR": str(folder), "CONDUIT_PROJECT": str(folder)}
    before = {name: os.environ.get(name) for name in ("CONDUIT_DATA_DIR", "CONDUIT_PROJECT")}
    os.environ.update(environment)
    try:
        lm = LMLite(ModelConfig("conduit/tiny", max_model_len=1400), replicas=2, name="tickets")
        with lm:
            for _ in range(20):
                lm(messages=[{"role": "user", "content": "unspeakable-prompt"}], max_tokens=4)
            yield environment
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    from conduit.settings import Settings
    from conduit.store import open_store

    open_store(Settings(data_dir=folder)).close()


def test_one_look_tells_what_the_replicas_did(used) -> None:
    done = subprocess.run(
        [*TOP, "--once", "--json", "--interval", "0.2"],
        env=used,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    (deployment,) = json.loads(line)["deployments"]
    assert (deployment["name"], deployment["state"], len(deployment["replicas"])) == ("tickets", "ready", 2)
    for replica in deployment["replicas"]:
        (model,) = replica["models"]
        assert (model["model_id"], model["state"]) == ("conduit/tiny", "ready")
        assert model["tokens_per_s"] == 0.0
        assert model["first_token_p50_s"] > 0
        assert replica["rss_bytes"] > 10_000_000
    assert "unspeakable" not in done.stdout


def in_a_terminal(environment, leave: bytes | None) -> tuple[int, bytes]:
    """Runs it until it has drawn, then presses a key, or Ctrl-C; its exit code and all that it drew."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = environment | {"TERM": "xterm-256color", "COLUMNS": "110", "LINES": "20"}
        os.execve(sys.executable, [*TOP, "--interval", "0.2"], environment)
    drawn, left, deadline = b"", False, time.monotonic() + DEADLINE_S
    try:
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:
                    break
                if not piece:
                    break
                drawn += piece
            if not left and drawn.count(b"quits") >= 2:
                os.write(terminal, leave or b"\x03")
                left = True
        assert left, drawn[-2000:]
        ended = os.waitpid(pid, 0)[1]
        pid = 0
        return os.waitstatus_to_exitcode(ended), drawn
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forkpty beside the portal's thread
@pytest.mark.parametrize("leave", [b"q", None], ids=["q", "ctrl-c"])
def test_it_draws_and_leaves_the_terminal_as_it_was(used, leave) -> None:
    code, drawn = in_a_terminal(used, leave)
    assert code == 0, drawn[-2000:]
    assert b"conduit/tiny" in drawn
    assert b"2 of 2 replicas" in drawn
    assert b"Traceback" not in drawn
    assert drawn.rindex(b"\x1b[?1049l") > drawn.rindex(b"quits"), "the screen of before is back"
    assert drawn.rindex(b"\x1b[?25h") > drawn.rindex(b"quits"), "the cursor is back"


def test_a_reader_that_leaves_ends_it(used) -> None:
    with subprocess.Popen(
        [*TOP, "--json", "--interval", "0.1"],
        env=used,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert json.loads(running.stdout.readline())["deployments"]
        running.stdout.close()
        running.stdout = None
        assert running.wait(DEADLINE_S) == 0
        assert running.stderr.read() == ""
