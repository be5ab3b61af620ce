"""``conduit up`` shows the price and asks, and what is not ready in the end is given back."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from conduit import planner
from conduit.cli import up
from conduit.cli.app import app
from conduit.compute import Offering
from conduit.errors import DeploymentFailed, NothingFits
from conduit.lmlite import Health, LMLiteResource, Quote, ReplicaHealth
from conduit.lmlite.replicas.client import Loading
from conduit.planner import ModelRequest, catalog

MODEL = "Qwen/Qwen3-8B"
CODE = f"""
from conduit import ComputeProvider, LMLite, ModelConfig

rented = LMLite([ModelConfig("{MODEL}", max_model_len=4096)], ComputeProvider.RUNPOD, replicas=2)
local = LMLite("conduit/tiny")
again = rented
"""
PLAN = planner.plan(
    [ModelRequest(MODEL, catalog.facts(MODEL), max_model_len=4096)],
    [Offering("runpod", "NVIDIA L40S", "NVIDIA L40S", 1, 44.3, 0.86, compute_capability=8.9)],
    replicas=2,
)
RENTED = Quote(PLAN, 2, 1.72, 6 * 3600.0, 10.32, 12.0)
FREE = Quote(None, 1, 0.0, None, 0.0, None)


class Replicas:
    """What the LMLites of the file do, by their first model."""

    def __init__(self):
        self.done = []
        self.looks = {}
        self.problem = None

    def note(self, what):
        def noted(lm, *_, **__):
            self.done.append(f"{what} {lm.model_ids[0]}")
            if what == "quote":
                return FREE if lm.model_ids[0] == "conduit/tiny" else RENTED
            return None

        return noted

    def ready(self, lm):
        looks = self.looks[lm.model_ids[0]] = self.looks.get(lm.model_ids[0], 0) + 1
        if self.problem is not None:
            raise self.problem
        return looks > 1

    def health(self, lm):
        url = f"http://127.0.0.1:1/{lm.model_ids[0]}"
        ready = self.looks.get(lm.model_ids[0], 0) > 1
        replica = ReplicaHealth("n1", 0, "ready" if ready else "starting", url=url, ready=ready)
        return Health("d1", "ready", ready, 1, (replica,))


@pytest.fixture
def replicas(monkeypatch):
    found = Replicas()

    def health(lm):
        return found.health(lm)

    for name in ("quote", "up", "keep"):
        monkeypatch.setattr(LMLiteResource, name, found.note(name))
    monkeypatch.setattr(LMLiteResource, "__exit__", found.note("give back"))
    monkeypatch.setattr(LMLiteResource, "ready", property(found.ready))
    monkeypatch.setattr(LMLiteResource, "health", health)
    monkeypatch.setattr(up, "_LOOK_S", 0.001)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("COLUMNS", "80")
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(CODE)
    return path


def run(*arguments, answer=None):
    return CliRunner().invoke(app, ["up", *map(str, arguments)], input=answer)


@pytest.fixture
def somebody(monkeypatch):
    """A terminal, and somebody before it."""
    monkeypatch.setattr(up, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))


def test_it_shows_what_it_would_cost_and_starts_what_is_agreed_to(replicas, file, somebody):
    result = run(file, answer="y\n")
    assert result.exit_code == 0, result.output
    assert "rented: 2 replicas, each on NVIDIA L40S (secure), 1.72 USD/h" in result.stdout
    assert "(runpod's prices of now)" in result.stdout
    assert "at most 10.32 USD, if nothing is given back for 6 h, of a budget of 12.00 USD" in result.stdout
    assert "local: 1 x conduit/tiny on local, 0.00 USD/h" in result.stdout
    assert "Start them for 1.72 USD/h?" in result.stderr
    assert f"ready  http://127.0.0.1:1/{MODEL}" in result.stdout
    assert "conduit down" in result.stdout
    assert replicas.done == [
        f"{what} {model}" for what in ("quote", "up", "keep") for model in (MODEL, "conduit/tiny")
    ]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "enter", "end of input"])
def test_without_a_yes_nothing_starts(replicas, file, somebody, answer):
    result = run(file, answer=answer)
    assert result.exit_code == 1
    assert [what for what in replicas.done if not what.startswith("quote")] == []


def test_one_of_several_is_started_by_its_name(replicas, file, somebody):
    result = run(f"{file}:local", answer="y\n")
    assert "Start it for 0.00 USD/h?" in result.stderr
    assert replicas.done == [f"{what} conduit/tiny" for what in ("quote", "up", "keep")]
    assert list(json.loads(run(f"{file}:again", "--yes", "--json").stdout)["up"]) == ["again"]


@pytest.mark.parametrize("how", [[], ["--json"]], ids=["nobody there", "json"])
def test_where_nobody_can_be_asked_nothing_starts_and_yes_is_named(replicas, file, how):
    result = run(file, *how, answer="y\n")
    assert result.exit_code == 1
    assert "--yes" in result.output
    assert not any(what.startswith("up") for what in replicas.done)


def test_json_is_not_asked_about_even_where_somebody_is(replicas, file, somebody):
    result = run(file, "--json", answer="y\n")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (1, "model.argument")


def test_json_is_one_document_with_the_plan_and_the_replicas(replicas, file):
    result = run(file, "--yes", "--json")
    assert result.exit_code == 0, result.output
    started = json.loads(result.stdout)["up"]
    assert list(started) == ["rented", "local"], "one object under two names is there once"
    rented, local = started.values()
    assert (rented["provider"], rented["usd_per_hour"], rented["most_usd"]) == ("runpod", 1.72, 10.32)
    assert rented["plan"]["offering"]["gpu"] == "NVIDIA L40S"
    assert rented["replicas"][0]["url"].endswith(MODEL)
    assert (local["plan"], local["deployment"]) == (None, "d1")


def test_a_start_that_fails_gives_all_back(replicas, file):
    replicas.problem = DeploymentFailed("It broke.", hint="Mend it.")
    result = run(file, "--yes")
    assert result.exit_code == 1
    assert "Gave back what was started" in result.stderr
    assert "Error: It broke." in result.stderr
    assert replicas.done[-2:] == [f"give back {MODEL}", "give back conduit/tiny"]
    assert not any(what.startswith("keep") for what in replicas.done)


def test_what_cannot_be_had_is_said_before_anything_is_asked(replicas, file, somebody, monkeypatch):
    def too_large(lm):
        raise NothingFits("It needs 900 GiB.", hint="Quantize it.")

    monkeypatch.setattr(LMLiteResource, "quote", too_large)
    result = run(file, answer="y\n")
    assert result.exit_code == 1
    assert "It needs 900 GiB." in result.stderr
    assert "Start" not in result.stderr
    assert replicas.done == []


@pytest.mark.parametrize(
    ("target", "says"),
    [("absent.py", "no file"), ("empty.py", "no LMLite"), ("app.py:x", "rented, local")],
)
def test_a_file_without_an_lmlite_says_what_there_is(replicas, file, tmp_path, target, says):
    (tmp_path / "empty.py").write_text("")
    result = run(tmp_path / target)
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("replica", "done", "said"),
    [
        (ReplicaHealth("n", 0, "intent"), 0, "asked for"),
        (ReplicaHealth("n", 0, "creating"), 0, "asked for"),
        (ReplicaHealth("n", 0, "starting"), 1, "starting"),
        (ReplicaHealth("n", 0, "starting", url="u"), 3, "load"),
        (
            ReplicaHealth("n", 0, "starting", url="u", loading={"m": Loading("download", 500, 2000)}),
            2.25,
            "download m 500 of 2,000 bytes",
        ),
        (ReplicaHealth("n", 0, "starting", url="u", loading={"m": Loading("download")}), 2, "download m"),
        (ReplicaHealth("n", 0, "starting", url="u", loading={"m": Loading("warm", 9, 3)}), 4, "warm m"),
        (ReplicaHealth("n", 0, "ready", url="u", ready=True), 4, "ready"),
    ],
)
def test_the_bar_tells_how_far_a_replica_is(replica, done, said):
    far, words = up._stage(replica)
    assert far == pytest.approx(done)
    assert words.startswith(said)
