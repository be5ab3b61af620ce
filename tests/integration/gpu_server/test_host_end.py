"""The machine's end from inside: a limit that is reached asks the provider until the machine goes."""

import os
import time

import psutil
import pytest

from support import host_api

KEY = "rpa_the_pods_own_key"


@pytest.fixture
def api(monkeypatch):
    with host_api.running() as running:
        monkeypatch.setenv("RUNPOD_POD_ID", "pod123")
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


def config(api, model, **fields):
    host = {"kind": "runpod", "url": api.url}
    return {"models": [model()], "on_expiry": "end_host", "host_api": host, "drain_s": 0.1, **fields}


def test_an_idle_pod_is_asked_to_end_until_it_goes_and_takes_no_work_meanwhile(api, start, model, wait_until):
    server = start(**config(api, model, idle_timeout_s=0.3)).loaded()
    wait_until(lambda: len(api.asked) >= 2, "a second request to end it: a 204 is no proof")
    assert set(api.asked) == {"DELETE"}
    assert api.paths == {"/v2/pods/pod123"}
    assert api.keys == {f"Bearer {KEY}"}
    assert server.post(b"{}").json()["error"]["code"] == "draining"
    server.process.terminate()
    assert server.exit_code() == 0
    assert KEY not in server.log


def test_a_moment_that_has_passed_ends_the_pod_before_anything_is_loaded(
    api, start, model, monkeypatch, wait_until
):
    monkeypatch.setenv("CONDUIT_EXPIRES_AT", str(time.time() - 60))
    server = start(**config(api, model)).listening()
    wait_until(lambda: api.asked, "the request to end it")
    assert server.states()["random"][0] == "starting"


def test_the_key_reaches_no_engine(api, start, model):
    server = start(**config(api, model)).loaded()
    engines = psutil.Process(server.process.pid).children(recursive=True)
    assert engines
    for engine in engines:
        assert KEY not in str(engine.environ())
        assert KEY not in " ".join(engine.cmdline())


def test_a_pod_whose_model_fails_stays_to_tell_why(api, start, tmp_path, model, wait_until):
    broken = {"model_id": "broken", "path": str(tmp_path / "nothing")}
    server = start(**config(api, model) | {"models": [broken]}, max_lifetime_s=3)
    assert server.loaded().states()["broken"][0] == "failed"
    assert api.asked == []
    wait_until(lambda: api.asked, "the request to end it when its time is over")
    assert server.process.poll() is None


def test_without_a_key_it_does_not_start(api, start, model, monkeypatch):
    monkeypatch.delenv("RUNPOD_API_KEY")
    server = start(**config(api, model))
    assert server.exit_code() == 2
    assert "RUNPOD_API_KEY has no key" in server.log


def test_a_driver_that_is_too_old_ends_with_a_code_of_its_own(start, model, tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 535.104.05\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VERSION", "12.4.1")
    server = start(models=[model(), {"model_id": "big", "engine": "sglang", "path": str(tmp_path)}])
    assert server.exit_code() == 5
    assert "driver 535.104.05 is older than 550.54.14 that CUDA 12.4 needs: choose another host" in server.log
