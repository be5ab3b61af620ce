"""A replica that fetches its model by itself, and tells how far it is."""

import httpx
import pytest

from support import hub as hub_support
from support.hub import Fault

REPO = "org/random"


@pytest.fixture
def hub(folder, monkeypatch):
    with hub_support.running() as running:
        running.add_folder(REPO, folder)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield running


def test_it_downloads_loads_and_answers_and_shows_how_far_it_is(hub, start, tmp_path, wait_until):
    hub.fails("model.safetensors", Fault("stall", at=100_000))
    server = start(models=[{"model_id": REPO, "max_model_len": 128}], model_cache=str(tmp_path / "cache"))
    server.listening()

    def loading():
        return server.get("/ready").json()["models"][0]["loading"]

    seen = wait_until(lambda: (told := loading())["done_bytes"] >= 100_000 and told, "some of the weights")
    assert seen["stage"] == "download"
    assert seen["done_bytes"] < seen["total_bytes"]
    hub.released.set()
    server.loaded()
    assert server.states() == {REPO: ("ready", None)}
    assert loading() is None
    body = b'{"model": "org/random", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}'
    assert server.post(body).status_code == 200
    assert [asked.begins for asked in hub.requests("model.safetensors")][:2] == [0, 100_000]


def test_two_replicas_share_one_download(hub, start, tmp_path):
    config = {"models": [{"model_id": REPO, "max_model_len": 128}], "model_cache": str(tmp_path / "cache")}
    replicas = [start(**config), start(**config)]
    assert [server.loaded().states()[REPO][0] for server in replicas] == ["ready", "ready"]
    assert len(hub.requests("model.safetensors")) == 1


def test_a_model_that_cannot_be_had_fails_with_the_reason_and_the_others_serve(hub, start, tmp_path, model):
    hub.gated.add(REPO)
    server = start(models=[{"model_id": REPO}, model()], model_cache=str(tmp_path / "cache")).loaded()
    states = server.states()
    assert states["random"] == ("ready", None)
    assert states[REPO][0] == "failed"
    assert "is gated (401)" in states[REPO][1]
    assert httpx.get(f"{server.url}/ready").status_code == 401
