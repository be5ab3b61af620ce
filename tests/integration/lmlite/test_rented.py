"""LMLites whose replicas are rented: from a simulated RunPod, whose pods are real servers on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from conduit import GPUS, ModelConfig, lmlite
from conduit.errors import (
    ArgumentInvalid,
    BalanceTooLow,
    BudgetExceeded,
    NothingFits,
    ProviderUnauthorized,
)
from conduit.settings import load as load_settings
from conduit.store import open_store
from support.rented import MODEL, ask, conduit, nothing_left, rented, said_by

SAMPLE = Path(__file__).parents[4] / "shared" / "samples" / "batch_example.py"
pytestmark = pytest.mark.timeout(120)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the users' sample is not beside this checkout")
def test_the_users_own_sample_runs_unchanged(simulated, tmp_path):
    simulator = simulated()
    code = f"import runpy; runpy.run_path({str(SAMPLE)!r})['test_batch_processing_with_mdl']()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path, text=True
    ) as program:
        printed, _ = program.communicate(timeout=110)
    assert program.returncode == 0
    answers = [line for line in printed.splitlines() if "completed at" in line]
    assert len(answers) == 100
    assert all("GreetingOutput(greeting=" in line for line in answers)
    state = simulator.state()
    assert len(state["creates"]) == 2
    assert not state["ever_doubled"]
    assert nothing_left(simulator)


def test_the_plan_decides_what_is_rented_and_the_server_gets_its_shares(simulated):
    simulator = simulated()
    with rented() as lm:
        plan = lm.quote().plan
        (pod,) = simulator.state()["pods"]
        record = open_store(load_settings()).deployments()[0]
        assert plan is not None
        assert pod["gpu"]["id"] == plan.offering.gpu == "NVIDIA L4"
        assert record.plan["models"][0]["memory_fraction"] == plan.models[0].memory_fraction
        assert ask(lm)
    assert nothing_left(simulator)


def test_a_pod_that_is_killed_under_load_is_replaced_and_no_call_fails(simulated):
    simulator = simulated()
    lm = rented(replicas=2)
    with lm:
        failures: list[BaseException] = []
        until = threading.Event()

        def caller() -> None:
            while not until.is_set():
                try:
                    ask(lm)
                except BaseException as error:
                    failures.append(error)

        callers = [threading.Thread(target=caller) for _ in range(8)]
        for each in callers:
            each.start()
        time.sleep(0.5)
        simulator.kill(simulator.state()["living"][0])
        deadline = time.monotonic() + 60
        while lm.health().replaced < 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        until.set()
        for each in callers:
            each.join()
        assert lm.health().replaced == 1
        assert lm.ready
        assert not failures
    assert nothing_left(simulator)


def test_calls_start_and_idle_time_add_up_to_the_invoice(simulated):
    simulator = simulated(price_factor=1000.0)
    with rented(replicas=2) as lm:
        for _ in range(20):
            ask(lm)
        time.sleep(2.0)
    open_store(load_settings()).flush()
    (cost,) = lmlite.costs(load_settings())
    assert cost.calls == 20
    assert cost.calls_usd > 0
    assert cost.boot_usd > 0
    parts = cost.calls_usd + cost.boot_usd + cost.idle_usd
    invoice = simulator.state()["invoice_usd"]
    assert parts == pytest.approx(cost.estimated_usd)
    # Between a pod's end and the proof of it lie a few hundred milliseconds, of a life of a few seconds.
    assert cost.estimated_usd == pytest.approx(invoice, rel=0.25)
    assert cost.billed_usd == pytest.approx(invoice, rel=0.01)


def test_a_serverless_endpoint_answers_and_is_given_back(simulated):
    simulator = simulated()
    with rented(serverless=True, replicas=2) as lm:
        assert simulator.state()["endpoints"]
        assert not simulator.state()["processes"], "no worker while nobody asks"
        assert ask(lm)
        assert lm.ready
    assert nothing_left(simulator)


def test_every_route_of_a_pod_but_its_liveness_asks_for_the_token(simulated):
    simulated()
    with rented() as lm:
        (endpoint,) = lm.endpoints
        base = endpoint.url.removesuffix("/v1")
        assert httpx.get(f"{base}/live").status_code == 200
        for path in ("/ready", "/metrics", "/v1/models", "/v1/chat/completions", "/nothing"):
            assert httpx.get(f"{base}{path}").status_code == 401, path


def test_no_secret_shows_in_processes_records_or_logs(simulated, tmp_path, own_data_folder):
    simulator = simulated()
    with rented() as lm:
        token = lm.endpoints[0].token.get_secret_value()
        secrets = (token, simulator.api_key)
        arguments = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        kept = b"".join(file.read_bytes() for file in own_data_folder.rglob("*") if file.is_file())
        said = json.dumps(simulator.state()) + str(lm.health()) + repr(lm) + repr(lm.endpoints)
        for secret in secrets:
            assert not any(secret in line for line in arguments)
            assert secret.encode() not in kept
            assert secret not in said


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"gpu": GPUS.AMD_MI300X}, (ArgumentInvalid, NothingFits), "MI300X"),
        ({"budget_usd": 0.01}, BudgetExceeded, "0.01"),
        ({"max_usd_per_hour": 0.01}, NothingFits, "0.01"),
        ({"regions": ["XX-NOWHERE-1"]}, (NothingFits, ArgumentInvalid), "sale"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_rented(simulated, changes, error, said):
    simulator = simulated()
    with pytest.raises(error, match=said):
        rented(**changes).up()
    assert not simulator.state()["creates"]


def test_a_wrong_key_and_an_empty_account_are_told(simulated, monkeypatch):
    simulator = simulated(faults=["create=402:1"])
    with pytest.raises(BalanceTooLow):
        rented().up()
    monkeypatch.setenv("CONDUIT_RUNPOD_API_KEY", "sim_wrong_key")
    with pytest.raises(ProviderUnauthorized) as wrong:
        rented().up()
    assert "sim_wrong_key" not in str(wrong.value)
    monkeypatch.delenv("CONDUIT_RUNPOD_API_KEY")
    with pytest.raises(ProviderUnauthorized, match="CONDUIT_RUNPOD_API_KEY"):
        rented().up()
    assert nothing_left(simulator)


def test_an_interrupted_up_gives_back_what_it_started(simulated, tmp_path):
    simulator = simulated(faults=["pod=never-ready:1"])
    file = tmp_path / "app.py"
    file.write_text(
        "from conduit import GPUS, ComputeProvider, LMLite, ModelConfig\n"
        f"lm = LMLite([ModelConfig({MODEL!r}, max_model_len=512)], ComputeProvider.RUNPOD, gpu=GPUS.NVIDIA_L4)\n"
    )
    with conduit("up", str(file), "--yes") as up:
        deadline = time.monotonic() + 60
        while not simulator.state()["living"] and time.monotonic() < deadline:
            time.sleep(0.1)
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=60)
    assert up.returncode == 130, said
    assert "Gave back what was started" in said
    assert nothing_left(simulator)


def test_up_leaves_it_running_for_others_and_down_ends_it(simulated, tmp_path):
    simulator = simulated()
    file = tmp_path / "app.py"
    file.write_text(
        "from conduit import GPUS, ComputeProvider, LMLite, ModelConfig\n"
        f"lm = LMLite([ModelConfig({MODEL!r}, max_model_len=512)], ComputeProvider.RUNPOD, gpu=GPUS.NVIDIA_L4)\n"
    )

    assert said_by("up", str(file))["error"]["code"] == "model.argument"
    assert not simulator.state()["creates"]
    started = said_by("up", str(file), "--yes")["up"]["lm"]
    assert started["usd_per_hour"] > 0
    assert said_by("gc", "--yes")["removed"] == [], "it was told to stay"
    (deployment,) = said_by("status")["deployments"]
    assert deployment["kept"]
    assert deployment["usd_per_hour"] == pytest.approx(started["usd_per_hour"])
    assert len(simulator.state()["living"]) == 1
    assert said_by("down")["removed"]
    assert nothing_left(simulator)
    assert said_by("cost")["total"]["estimated_usd"] > 0


def test_an_update_moves_the_calls_and_the_front_before_the_old_pods_end(simulated):
    simulator = simulated()
    with rented() as lm, lm.serve() as front:
        (before,) = simulator.state()["living"]
        failures: list[BaseException] = []
        until = threading.Event()

        def caller() -> None:
            while not until.is_set():
                try:
                    ask(lm)
                except BaseException as error:
                    failures.append(error)

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for each in callers:
            each.start()
        lm.update(models=[ModelConfig(MODEL, max_model_len=256, max_model_concurrency=4)])
        until.set()
        for each in callers:
            each.join()
        assert not failures
        (after,) = simulator.state()["living"]
        assert after != before
        headers = {"Authorization": f"Bearer {front.token.get_secret_value()}"}
        (served,) = httpx.get(f"{front.url}/models", headers=headers).json()["data"]
        assert served["max_model_len"] == 256
        assert ask(lm)
    assert nothing_left(simulator)


def test_an_update_that_does_not_come_up_changes_nothing(simulated):
    simulator = simulated()
    with rented() as lm:
        before = simulator.state()["living"]
        with pytest.raises(NothingFits):
            lm.update(max_usd_per_hour=0.01, replicas=2)
        with pytest.raises(ArgumentInvalid, match="nonsense"):
            lm.update(nonsense=1)
        assert simulator.state()["living"] == before
        assert lm.config.replicas == 1
        assert ask(lm)
    assert nothing_left(simulator)
