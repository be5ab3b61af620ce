"""``conduit plan`` shows what would run where and for how much, from the shipped catalogs, and starts nothing."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from conduit import compute
from conduit.cli.app import app
from conduit.compute import Offering
from conduit.lmlite import LMLiteResource

THREE = """
provider = "runpod"

[[models]]
model_id = "Qwen/Qwen2.5-7B-Instruct"
max_model_len = 2048
max_model_concurrency = 8

[[models]]
model_id = "meta-llama/Llama-3.2-1B-Instruct"
max_model_concurrency = 8

[[models]]
model_id = "google/gemma-3-1b-it"
max_model_concurrency = 8
"""
CODE = """
from conduit import GPUS, ComputeProvider, LMLite, ModelConfig
from conduit.runtime import LMLiteBlock

rented = LMLiteBlock(
    [ModelConfig("Qwen/Qwen3-8B", max_model_len=4096)], ComputeProvider.RUNPOD, gpu=GPUS.NVIDIA_L4, replicas=2
)
local = LMLite("conduit/tiny", replicas=2)
again = rented
"""


@pytest.fixture(autouse=True)
def nothing_starts(tmp_path, monkeypatch):
    def started(*_, **__):
        raise AssertionError("a deployment was started")

    monkeypatch.setattr(LMLiteResource, "up", started)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def three(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(THREE)
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "flow.py"
    path.write_text(CODE)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def plans(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["plans"]


def test_three_models_lie_on_one_card_of_24_gib_with_their_shares(three, tmp_path):
    (made,) = plans(three)
    assert made["offering"]["gpu_count"] == 1
    assert made["offering"]["memory_gib"] < 24
    shares = {model["model_id"]: model["share"] for model in made["models"]}
    assert len(shares) == 3
    assert sum(shares.values()) <= 1
    assert all(model["memory_fraction"] for model in made["models"])
    cheaper = [r for r in made["rejected"] if r["offering"]["usd_per_hour"] < made["usd_per_hour"]]
    assert all(r["reason"] for r in cheaper)
    assert not (tmp_path / "data").exists()


def test_it_is_readable(three):
    shown = run(three, "--secure").stdout
    assert "USD/h" in shown
    assert "--mem-fraction-static" in shown
    for word in (
        "weights",
        "kv",
        "share",
        "Llama-3.2-1B-Instruct",
        "If it is sold out",
        "Cheaper, and why not",
    ):
        assert word in shown


def test_every_lmlite_of_a_file_is_planned_once_and_by_its_name(file):
    rented, local = plans(file)
    assert (rented["name"], rented["offering"]["name"], rented["replicas"]) == ("rented", "NVIDIA L4", 2)
    assert rented["usd_per_hour"] == pytest.approx(2 * rented["offering"]["usd_per_hour"])
    assert (local["name"], local["fits"], local["usd_per_hour"]) == ("local", True, 0.0)
    assert [made["name"] for made in plans(f"{file}:local")] == ["local"]
    assert "it fits" in run(f"{file}:local").stdout


def test_what_is_given_on_the_command_line_goes_before_the_file(file):
    (made,) = plans(
        f"{file}:rented", "--gpu", "NVIDIA H100 NVL", "--num-gpus", 2, "--replicas", 1, "--secure"
    )
    assert (made["offering"]["name"], made["offering"]["gpu_count"]) == ("NVIDIA H100 NVL", 2)
    assert made["offering"]["secure"]
    assert made["replicas"] == 1
    assert {model["tp"] for model in made["models"]} == {2}


def test_online_asks_the_provider_and_lets_go_of_it(three, monkeypatch):
    asked = []

    class Provider:
        async def offerings(self, query):
            asked.append(query.gpu_counts)
            return [
                Offering(
                    "runpod", "one", "NVIDIA L40S", 1, 44.3, 0.9, region="EU-RO-1", compute_capability=8.9
                )
            ]

        async def aclose(self):
            asked.append("closed")

    monkeypatch.setattr(compute, "provider", lambda *_: Provider())
    (made,) = plans(three, "--online", "--region", "EU-RO-1")
    assert (made["offering"]["gpu"], made["prices"]) == ("one", "asked from runpod now")
    assert asked == [(1, 2, 4, 8), "closed"]


def test_all_shows_what_is_dearer_too(three):
    assert "Rejected:" in run(three, "--all", "--num-gpus", 1).stdout


@pytest.mark.parametrize(
    ("toml", "arguments", "says"),
    [
        (THREE, ["--max-usd-per-hour", "0.01"], "above the maximum of 0.01"),
        (THREE, ["--gpu", "RTX 9090"], "No offering has the GPU 'RTX 9090'"),
        (THREE.replace("2048", "65536"), [], "the model was made for 32768"),
        (THREE.replace("Qwen/Qwen2.5-7B-Instruct", "nobody/knows-it"), [], "no facts about nobody/knows-it"),
        (
            THREE.replace("google/gemma-3-1b-it", "deepseek-ai/DeepSeek-R1-0528"),
            ["--num-gpus", "1"],
            "None of",
        ),
        (THREE.replace("max_model_len", "max_model_length"), [], "max_model_length"),
        (THREE.replace('"runpod"', '"docker"'), [], "--online"),
        ("gpus = 1\n", [], "'gpus' is no setting"),
        ('provider = "runpod"\n', [], "names no model"),
        ("[[models]]\nmax_model_len = 5\n", [], "has no model_id"),
        ("models =\n", [], "is not TOML"),
    ],
)
def test_what_cannot_be_planned_is_said_with_code_1(tmp_path, toml, arguments, says):
    path = tmp_path / "config.toml"
    path.write_text(toml)
    result = run(path, *arguments)
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("absent.toml", "cannot be read"),
        ("absent.py", "no file"),
        ("empty.py", "no LMLite"),
        ("flow.py:x", "LMLite x"),
    ],
)
def test_a_file_without_an_lmlite_is_said_with_code_1(tmp_path, file, target, says):
    (tmp_path / "empty.py").write_text("")
    result = run(tmp_path / target)
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())
