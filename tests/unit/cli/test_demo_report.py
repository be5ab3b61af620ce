"""The demo's report counts what the run log says, and shows text as it is."""

import io
import time

import pytest
from rich.console import Console

from conduit import settings
from conduit.blocks import duckdb_insert
from conduit.cli.demo_report import SHOWN_ROWS, Report, next_steps, show
from conduit.errors import ConduitError
from conduit.store import ModelCall, open_store

FLOW = {"id": "f1", "state": "Completed", "seconds": 1.5, "summary": []}
API = "http://127.0.0.1:4200/api"


@pytest.fixture
def conduit_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "data"))
    return settings.load()


def ticket(number):
    return {
        "order_id": f"[b]{number}",
        "amount": None if number else 12.5,
        "topic": "return",
        "urgent": bool(number),
    }


def recorded(settings, folder, *, tickets, calls):
    database = folder / "inbox.duckdb"
    duckdb_insert(str(database), "tickets", [ticket(number) for number in range(tickets)])
    store = open_store(settings)
    for number in range(calls):
        store.log_call(
            ModelCall(
                started_at=time.time() - calls + number,
                model_id="m",
                flow_run_id="f1",
                prompt_tokens=10,
                completion_tokens=2,
                latency_s=(number + 1) / 100,
                replica=f"n{number % 2}",
                attempts=2 if number == 0 else 1,
            )
        )
    another = ModelCall(started_at=time.time(), model_id="m", flow_run_id="another", prompt_tokens=1000)
    store.log_call(another)
    return database


def report(settings, folder, *, messages=20, tickets=20, calls=20, kept=False):
    database = recorded(settings, folder, tickets=tickets, calls=calls)
    texts = [f"message [red]{number}[/red]" for number in range(messages)]
    return Report.read(settings, texts, database, API, FLOW, model="m", kept=kept)


def test_tokens_latencies_and_replicas_are_this_flow_run_s(conduit_settings, tmp_path):
    made = report(conduit_settings, tmp_path)
    assert made.tokens == {"prompt": 200, "completion": 40}
    assert made.latency_s == {"p50": 0.10, "p95": 0.19}
    assert made.answers == {"n0": 10, "n1": 10}
    assert made.retried == 1
    assert made.flow_run["url"] == "http://127.0.0.1:4200/runs/flow-run/f1"
    assert [row["order_id"] for row in made.tickets] == [f"[b]{number}" for number in range(20)]


@pytest.mark.parametrize("counts", [{"messages": 21}, {"tickets": 19}, {"calls": 19}])
def test_a_message_without_ticket_or_row_is_an_error(conduit_settings, tmp_path, counts):
    with pytest.raises(ConduitError, match=r"\d+ messages gave \d+ tickets and \d+ rows"):
        report(conduit_settings, tmp_path, **counts)


def test_messages_and_values_are_shown_as_they_are(conduit_settings, tmp_path):
    out = Console(file=io.StringIO(), width=140, markup=False, emoji=False)
    show(out, report(conduit_settings, tmp_path))
    text = out.file.getvalue()
    assert "message [red]0[/red]" in text
    assert "[b]0" in text
    assert "12.50" in text
    assert f"and {20 - SHOWN_ROWS} more" in text
    assert "n0 gave 10, n1 gave 10" in text
    assert "p50 100 ms, p95 190 ms" in text
    assert "http://127.0.0.1:4200/runs/flow-run/f1" in text


def test_after_keep_the_first_step_is_how_to_stop_it(conduit_settings, tmp_path):
    kept = report(conduit_settings, tmp_path, kept=True)
    assert "conduit down" in next_steps(kept)[0]
    kept.kept = False
    assert "demo --keep" in next_steps(kept)[0]
