"""``conduit status`` shows what runs, how it is, and what it costs."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from conduit import lmlite
from conduit.cli import status
from conduit.cli.app import app
from conduit.lmlite import DeploymentView, NodeSummary, Said

NOW = time.time()


def node(number=0, **changes):
    values = {
        "machine": "1 x NVIDIA L40S",
        "usd_per_hour": 0.86,
        "usd": 1.2345,
        "expires_at": NOW + 10 * 3600,
        "created_at": NOW - 3 * 3600,
    }
    return NodeSummary(
        **{
            "id": f"n{number:012x}",
            "replica": number,
            "state": "ready",
            "alive": True,
            "url": f"https://pod{number}-8000.proxy.runpod.net",
            "log": None,
        }
        | values
        | changes
    )


def deployment(*nodes, **changes):
    values = {
        "key": "d0123456789abcdef0123",
        "name": "tickets",
        "project": "shop",
        "provider": "runpod",
        "state": "ready",
        "reason": None,
        "models": ("Qwen/Qwen3-8B",),
        "replicas": len(nodes),
        "created_at": NOW - 3 * 3600,
        "nodes": nodes,
        "wanted_by": (),
    }
    return DeploymentView(**values | changes)


class Answers:
    """What the replicas say of themselves."""

    def __init__(self, monkeypatch):
        self.said, self.rented = {}, []
        monkeypatch.setattr(lmlite, "deployments", self.deployments)
        monkeypatch.setattr(status, "Watch", lambda _: self)

    def deployments(self, settings, *, all_projects=False):
        return list(self.rented) if settings.project == "shop" else []

    def ask(self, _found):
        return {node_id: Said(0.0, {"models": models}) for node_id, models in self.said.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setenv("CONDUIT_PROJECT", "shop")
    monkeypatch.setenv("COLUMNS", "80")
    return Answers(monkeypatch)


def run(*arguments):
    result = CliRunner().invoke(app, ["status", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_it_costs_and_when_it_ends_is_shown(answers):
    answers.rented = [
        deployment(node(), node(1, expires_at=None), usd=2.469, usd_per_hour=1.72, budget_usd=10.0)
    ]
    shown = run()
    assert "2.4690 USD so far of a budget of 10.00 USD, 1.72 USD/h now" in shown
    assert "2 of 2 replicas, 3 h old" in shown
    assert "wanted by no running program" in shown
    first, second = (line.split() for line in shown.splitlines() if line.strip().startswith(("0  ", "1  ")))
    assert (first[-2:], second[-1]) == (["10", "h"], "-")
    assert "1.2345" in first
    assert "1 x NVIDIA L40S, https://pod0-8000.proxy.runpod.net" in shown


def test_what_was_told_to_stay_is_wanted_by_up(answers):
    answers.rented = [deployment(node(), kept=True, wanted_by=("host:7",))]
    assert "wanted by host:7, `conduit up`" in run()


def test_what_is_free_shows_no_money(answers):
    answers.rented = [deployment(node(usd=0.0, usd_per_hour=0.0), provider="local")]
    assert "so far" not in run()


@pytest.mark.parametrize(
    ("models", "health"),
    [
        ([], "no answer"),
        ([{"state": "ready"}, {"state": "ready"}], "ready"),
        ([{"state": "ready"}, {"state": "failed"}], "ready, failed"),
        (
            [
                {
                    "state": "starting",
                    "loading": {"stage": "download", "done_bytes": 25, "total_bytes": 100},
                }
            ],
            "download 25 %",
        ),
        ([{"state": "starting", "loading": {"stage": "load", "total_bytes": None}}], "load"),
    ],
)
def test_how_a_replica_is_by_its_own_word(answers, models, health):
    answers.rented = [deployment(node())]
    answers.said = {node().id: models}
    assert json.loads(run("--json"))["health"] == {node().id: health}


def test_the_table_keeps_to_80_columns(answers):
    answers.rented = [deployment(node(), node(1, state="starting", url=None, usd=123.4567))]
    answers.said = {
        node(1).id: [
            {"state": "x", "loading": {"stage": "download", "done_bytes": 1, "total_bytes": 2}},
            {"state": "failed"},
        ]
    }
    lines = run().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("  replica"))
    end = next(n for n, line in enumerate(lines) if line.startswith("  0: "))
    assert max(map(len, lines[start:end])) <= 80
    assert "123.4567" in "".join(lines[start:end])
    assert "no address yet" in lines[-1]


def test_json_has_the_money_and_the_nodes(answers):
    answers.rented = [deployment(node(), kept=True, usd=1.5, usd_per_hour=0.86), deployment(usd_per_hour=2.0)]
    document = json.loads(run("--json"))
    assert document["usd_per_hour"] == pytest.approx(2.86)
    first = document["deployments"][0]
    assert (first["kept"], first["usd"], first["nodes"][0]["machine"]) == (True, 1.5, "1 x NVIDIA L40S")


def test_watching_in_json_is_one_line_a_look_until_it_is_interrupted(answers, monkeypatch):
    looks = []

    def look_and_leave(_seconds):
        looks.append(1)
        if len(looks) == 3:
            raise SystemExit(130)

    monkeypatch.setattr(status.time, "sleep", look_and_leave)
    answers.rented = [deployment(node())]
    lines = run("--watch", "--json").splitlines()
    assert [json.loads(line)["deployments"][0]["key"] for line in lines] == ["d0123456789abcdef0123"] * 3


def test_without_anything_it_says_how_to_begin(answers):
    assert "No deployments." in run()
