"""Models that another server has, called through a replica of our own like any other."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conduit import settings
from conduit.errors import DeploymentFailed
from conduit.lmlite import LMLiteResource, ModelConfig

STAND_IN = Path(__file__).parents[2] / "support" / "stand_in_engine.py"
KEY_VARIABLE = "CONDUIT_TEST_OTHER_KEY"
KEY = "key-of-the-other-server"
CHAT = [{"role": "user", "content": "hi"}]


@dataclass
class Ticket:
    topic: str
    urgent: bool


@pytest.fixture
def other(tmp_path, until):
    """Another server, with a key; the URL that its OpenAI clients are given."""
    announce = tmp_path / "announce.json"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, STAND_IN, "llama3.2", "--host", "127.0.0.1", "--port", "0"),
                *("--served-model-name", "llama3.2", "--max-model-len", "512", "--announce", announce),
            ],
            env={**os.environ, "VLLM_API_KEY": KEY},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: announce.exists() or process.poll() is not None)
        yield f"http://127.0.0.1:{json.loads(announce.read_text())['port']}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def attach(deploy, other):
    """An LMLite on that server's model."""

    def make(**changes):
        fields = {
            "engine": "openai",
            "url": other,
            "api_key_variable": KEY_VARIABLE,
            "max_model_len": 512,
        }
        return LMLiteResource(ModelConfig("llama3.2", **fields | changes), idle_timeout=120)

    return make


def test_calls_values_streams_and_batches_work_as_on_a_model_of_ones_own(attach, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with attach() as lm:
        text = lm(messages=CHAT)
        assert text
        assert "".join(lm.stream(messages=CHAT)) == text
        assert lm.batch([{"messages": CHAT}] * 3) == [text] * 3
        ticket = lm(input="It is broken!", output=Ticket)
        assert isinstance(ticket, Ticket)
        assert lm.health().replicas[0].models == {"llama3.2": "ready"}


def test_the_key_reaches_the_server_and_stands_in_no_file_and_no_argument_list(
    attach, processes, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with attach() as lm:
        lm(messages=CHAT)
        [process] = processes()
        assert KEY in process.environ().values()
        for relative in [process, *process.children(recursive=True)]:
            assert KEY not in " ".join(relative.cmdline())
        files = [path for path in settings.load().data_dir.rglob("*") if path.is_file()]
        assert [path for path in files if path.name == "config.json"]
        assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_a_missing_key_ends_the_start_with_the_reason(attach):
    with pytest.raises(DeploymentFailed, match=r"(?i)key|401|CONDUIT_TEST_OTHER_KEY"):
        attach().up()


def test_a_server_that_is_not_there_ends_the_start_with_its_address(attach, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with pytest.raises(DeploymentFailed, match=r"127\.0\.0\.1:9"):
        attach(url="http://127.0.0.1:9/v1").up()
