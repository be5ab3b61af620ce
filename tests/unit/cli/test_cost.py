"""``conduit cost`` adds up what things cost, and says which bill it does not have."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from conduit import lmlite
from conduit.cli.app import app
from conduit.lmlite import DeploymentCost


def cost(key, name=None, *, billed=None, **changes):
    values = {
        "project": "shop",
        "owner": "0123456789ab",
        "provider": "runpod",
        "nodes": 2,
        "live_nodes": 1,
        "node_s": 7200.0,
        "boot_s": 600.0,
        "usd_per_hour": 0.8,
        "estimated_usd": 1.6,
        "boot_usd": 0.1,
        "calls": 12_345,
        "calls_usd": 1.1,
    }
    return DeploymentCost(deployment_key=key, name=name, billed_usd=billed, **values | changes)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv("CONDUIT_PROJECT", "shop")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def spent(monkeypatch):
    """Sets what was spent; gives what was asked for."""
    asked = []

    def of(*found, problems=()):
        def costs(settings, *, all_projects, since, problems):
            asked.append((settings.project, all_projects, since))
            problems += told
            return list(found)

        told = list(problems)
        monkeypatch.setattr(lmlite, "costs", costs)
        return asked

    return of


def run(*arguments):
    return CliRunner().invoke(app, ["cost", *arguments])


def test_each_deployment_is_a_row_and_the_last_is_the_sum(spent):
    spent(cost("d1", "tickets", billed=1.5), cost("d0123456789abcdef0123", estimated_usd=2.4))
    result = run()
    assert result.exit_code == 0, result.output
    head, first, *_ = lines = result.stdout.splitlines()
    assert head.split()[:3] == ["deployment", "provider", "calls"]
    assert first.split() == [
        *("tickets", "runpod", "12,345", "2", "h"),
        *("1.1000", "0.1000", "0.4000", "1.6000", "1.5000"),
    ]
    total = next(line for line in lines if line.startswith("sum"))
    assert total.split() == ["sum", "24,690", "4", "h", "2.2000", "0.2000", "1.6000", "4.0000", "1.5000"]


def test_the_table_keeps_to_80_columns_and_breaks_no_number(spent):
    spent(cost("d0123456789abcdef0123", billed=1234.5678), cost("d2", "tickets", provider="my-own-cloud"))
    shown = run().stdout
    table = shown[: shown.index("Total:")].splitlines()
    assert max(map(len, table)) <= 80
    assert "1234.5678" in shown
    assert "12,345" in shown


def test_what_has_no_bill_is_a_dash_and_one_alone_needs_no_sum(spent):
    spent(cost("d1"))
    shown = run().stdout
    assert shown.splitlines()[1].split()[-1] == "-"
    assert "sum" not in shown


def test_nothing_is_said_to_have_cost_nothing(spent):
    spent()
    assert "Nothing has cost anything" in run().stdout
    assert json.loads(run("--json").stdout)["total"] == {"estimated_usd": 0, "billed_usd": 0}


def test_a_bill_that_could_not_be_had_is_told(spent):
    spent(cost("d1"), problems=["No bill of node n1: RunPod does not answer."])
    assert "No bill of node n1: RunPod does not answer." in run().stdout
    assert json.loads(run("--json").stdout)["problems"] == ["No bill of node n1: RunPod does not answer."]


def test_json_has_every_field_and_the_sums(spent):
    spent(cost("d1", "tickets", billed=1.5), cost("d2"))
    document = json.loads(run("--json").stdout)
    assert (document["project"], document["since"]) == ("shop", None)
    first = document["deployments"][0]
    assert (first["name"], first["idle_usd"], first["boot_usd"]) == ("tickets", pytest.approx(0.4), 0.1)
    assert document["total"] == {"estimated_usd": pytest.approx(3.2), "billed_usd": 1.5}


@pytest.mark.parametrize(
    ("since", "seconds"), [("30m", 1800), ("24h", 86400), ("7d", 604800), ("1.5h", 5400)]
)
def test_since_counts_back_from_now(spent, since, seconds):
    asked = spent(cost("d1"))
    before = time.time()
    document = json.loads(run("--since", since, "--json").stdout)
    assert before - seconds <= document["since"] <= time.time() - seconds
    assert asked == [("shop", False, document["since"])]


@pytest.mark.parametrize("since", ["", "7", "yesterday", "-1h", "1w", "h", "1h30m"])
def test_a_since_that_is_none_is_refused_with_examples(spent, since):
    asked = spent(cost("d1"))
    result = run(f"--since={since}", "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "model.argument"
    assert "24h" in error["hint"]
    assert asked == []


def test_all_projects_are_asked_for_by_name(spent):
    asked = spent(cost("d1"))
    assert json.loads(run("--all", "--json").stdout)["project"] is None
    assert asked == [("shop", True, None)]
