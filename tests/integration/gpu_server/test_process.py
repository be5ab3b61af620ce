"""The life of the process: its announcement, its failures, and each of its ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import openai
import pytest


def test_the_announcement_tells_where_to_find_it(server) -> None:
    announced = json.loads(server.announce.read_text())
    assert announced["pid"] == server.process.pid
    assert announced["host"] == "127.0.0.1"
    assert announced["port"] > 0
    assert abs(announced["started_at"] - time.time()) < 600
    assert list(server.announce.parent.glob(".*")) == []


def test_the_token_is_in_no_argument(server) -> None:
    arguments = subprocess.run(
        ["ps", "-o", "args=", "-p", str(server.process.pid)], capture_output=True, text=True, check=True
    ).stdout
    assert "integration-token" not in arguments


def test_no_token_no_server(start, model) -> None:
    one = start(models=[model()], token=None)
    assert one.exit_code() == 2
    assert "GPU_SERVER_TOKEN" in one.log
    assert not one.announce.exists()


def test_a_taken_port_is_named_with_the_remedy(start, model) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        one = start(models=[model()], port=port)
        assert one.exit_code() == 3
    lines = one.log.strip().splitlines()
    assert len(lines) == 1
    assert str(port) in lines[0]
    assert '"port"' in lines[0]


def test_a_wrong_configuration_is_named(start, model) -> None:
    one = start(models=[model(max_model_len=-1)])
    assert one.exit_code() == 2
    assert "max_model_len" in one.log
    assert "Traceback" not in one.log


def broken_folders(folder, tmp_path):
    """Every way in which a model folder has been seen broken, with what the reason must mention."""
    for name, file, content, reason in (
        ("no-config", "config.json", None, "config.json"),
        ("bad-config", "config.json", b"{", "config.json"),
        ("no-weights", "model.safetensors", None, "safetensors"),
        ("cut-weights", "model.safetensors", b"", ""),
        ("no-tokenizer", "tokenizer.json", None, "tokenizer.json"),
    ):
        broken = tmp_path / name
        broken.mkdir()
        for source in folder.iterdir():
            os.link(source, broken / source.name)
        (broken / file).unlink()
        if content is not None:
            (broken / file).write_bytes(content)
        yield name, broken, reason


def test_a_broken_model_is_reported_and_the_others_serve(start, model, folder, tmp_path) -> None:
    broken = list(broken_folders(folder, tmp_path))
    models = [model(model_id=name, path=str(path)) for name, path, _ in broken]
    models.insert(1, model(model_id="long", max_model_len=100_000))
    one = start(models=[*models, model()]).loaded()
    states = one.states()
    for name, _, reason in [*broken, ("long", None, "max_position_embeddings=4096")]:
        state, said = states[name]
        assert state == "failed", name
        assert reason in (said or "never nothing"), (name, said)
        assert "\n" not in said
    assert states["random"] == ("ready", None)
    assert one.get("/ready").status_code == 503
    with one.client() as client:
        client.chat.completions.create(
            model="random", messages=[{"role": "user", "content": "hi"}], max_tokens=2
        )


def test_with_no_model_left_it_ends_with_4(start, model, tmp_path) -> None:
    one = start(models=[model(path=str(tmp_path / "nowhere")), model(model_id="b", path=str(tmp_path))])
    assert one.exit_code() == 4
    last = json.loads(one.log.strip().splitlines()[-2])
    assert "no model could be loaded" in last["event"]
    assert "nowhere" in last["event"]


def test_an_idle_server_ends_by_itself(start, model) -> None:
    one = start(models=[model()], idle_timeout_s=2).loaded()
    began = time.monotonic()
    while one.process.poll() is None:  # being looked at is not being used
        assert time.monotonic() - began < 20
        try:
            one.get("/live")
            one.get("/ready")
            one.get("/metrics")
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    assert one.exit_code() == 0
    assert "idle_timeout_s=2" in one.log


def test_use_keeps_it_alive(start, model) -> None:
    one = start(models=[model()], idle_timeout_s=1.5).loaded()
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        assert one.get("/v1/models").status_code == 200
        time.sleep(0.1)
    assert one.exit_code() == 0


def test_its_life_has_an_end(start, model) -> None:
    one = start(models=[model()], max_lifetime_s=1).listening()
    assert one.exit_code() == 0
    assert "max_lifetime_s=1" in one.log


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_runs_finish(start, model, sign: signal.Signals) -> None:
    one = start(models=[model(max_model_len=4000)]).loaded()
    with (
        one.client() as client,
        client.chat.completions.create(
            model="random",
            messages=[{"role": "user", "content": "hi"}],
            max_tokens=200,
            stream=True,
            extra_body={"ignore_eos": True},
        ) as stream,
    ):
        pieces = iter(stream)
        next(pieces)
        one.process.send_signal(sign)
        *_, last = pieces
        assert last.choices[0].finish_reason == "length"
        assert one.exit_code() == 0
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


def test_a_signal_does_not_wait_for_ever(start, model, folder) -> None:
    one = start(models=[model(max_model_len=4096, max_model_concurrency=2)]).loaded()
    with one.client() as client:
        streams = [
            client.chat.completions.create(
                model="random",
                messages=[{"role": "user", "content": "hi"}],
                max_tokens=4000,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            for _ in range(2)
        ]
        one.process.send_signal(signal.SIGTERM)
        assert one.exit_code(15) == 0
        for stream in streams:
            stream.close()


def test_help_reads_without_an_engine() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "gpu_server", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for word in ("--config", "GPU_SERVER_TOKEN", "exit codes", "max_model_concurrency"):
        assert word in shown
