"""What a flow run leaves behind: a row a call in the run log, a row of its own, and its totals in Prefect's UI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from conduit import block, settings
from conduit.errors import MapFailed
from conduit.store import CallState, Store, open_store
from support.flow_runs import Runner


@block
def double(number: int) -> int:
    return 2 * number


@block(name="counted")
def up_to(number: int) -> Iterator[int]:
    yield from range(number)


def records() -> Store:
    return open_store(settings.load())


def lambda_flow(body: Callable[[], Any]) -> Callable[[], Any]:
    def flow() -> Any:
        return body()

    return flow


def artifacts_of(server: str, flow_run_id: str, key: str = "conduit-totals") -> list[dict[str, Any]]:
    wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [key]}}}
    found: list[dict[str, Any]] = httpx.post(f"{server}/artifacts/filter", json=wanted).json()
    return found


def test_each_call_leaves_a_row_when_it_has_ended_for_good(run: Runner) -> None:
    failures = [OSError("once"), OSError("twice")]

    @block(retries=2)
    def flaky(number: int) -> int:
        if failures:
            raise failures.pop()
        return number

    @block(retries=1)
    def broken() -> int:
        raise ConnectionError("the secret host")

    def body() -> list[int]:
        flaky(1)
        with pytest.raises(ConnectionError):
            broken()
        return list(up_to(3))

    result, known = run(lambda_flow(body))
    assert result == [0, 1, 2]
    store = records()
    assert store.flush()
    rows = store.block_calls(limit=10, flow_run_id=known.id)
    assert [(row.block.rpartition(".")[2], row.state, row.attempts, row.error) for row in reversed(rows)] == [
        ("flaky", CallState.DONE, 3, None),
        ("broken", CallState.FAILED, 2, "ConnectionError"),
        (f"{up_to.__module__}:up_to".rpartition(".")[2], CallState.DONE, 1, None),
    ]
    assert {row.task_run_id for row in rows} == {task["id"] for task in known.tasks}
    assert all((row.inputs, row.output, row.error_text) == (None, None, None) for row in rows)


def test_values_are_stored_only_when_asked_for_and_redacted(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    @block
    def login(user: str, password: str) -> dict[str, str]:
        return {"user": user, "password": password}

    monkeypatch.setenv("CONDUIT_RUN_LOG_VALUES", "true")
    monkeypatch.setenv("CONDUIT_RUN_LOG_REDACT", '["password", "xyz+y"]')
    _, known = run(lambda_flow(lambda: login(user="ann xyzzy", password="hunter2")))
    assert records().flush()
    (row,) = records().block_calls(limit=10, flow_run_id=known.id)
    assert "hunter2" not in str(row)
    assert "xyzzy" not in str(row)
    assert row.inputs["user"] == row.output["user"] == "ann [redacted]"


def test_a_run_has_a_row_and_its_totals_in_the_ui(run: Runner, prefect_server: str) -> None:
    def body() -> int:
        double(1)
        return double(2)

    _, known = run(lambda_flow(body))
    (row,) = [each for each in records().flow_runs(limit=10) if each.id == known.id]
    assert row.state == "completed"
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at
    (artifact,) = artifacts_of(prefect_server, known.id)
    of_block, of_all = (
        artifact["data"] if isinstance(artifact["data"], list) else __import__("json").loads(artifact["data"])
    )
    assert of_block["block"].endswith(":double")
    assert (of_block["calls"], of_all["calls"], of_all["failed"]) == (2, 2, 0)
    assert f"conduit runs show {known.id}" in artifact["description"]


def test_a_run_that_fails_says_so_and_counts(run: Runner, prefect_server: str) -> None:
    def body() -> int:
        double(1)
        return double("no number")  # type: ignore[arg-type] # on purpose

    _, known = run(lambda_flow(body))
    (row,) = [each for each in records().flow_runs(limit=10) if each.id == known.id]
    assert row.state == "failed"
    (artifact,) = artifacts_of(prefect_server, known.id)
    assert "**1 failed**" in artifact["description"]


def test_a_flow_without_records_runs_all_the_same(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "file" / "folder"))
    result, _ = run(lambda_flow(lambda: double(4)))
    assert result == 8
    assert "not logged" in caplog.text


def test_each_item_of_a_map_leaves_a_row_and_collected_failures_are_counted(
    run: Runner, prefect_server: str
) -> None:
    @block
    def picky(number: int) -> int:
        if number % 5 == 0:
            raise ValueError(f"{number} is one too many")
        return number

    def body() -> int:
        return len(picky.map(list(range(20)), batch=6, errors="collect"))

    result, known = run(lambda_flow(body))
    assert result == 20
    assert records().flush()
    rows = records().block_calls(limit=100, flow_run_id=known.id)
    assert sorted(row.item for row in rows if row.item is not None) == list(range(20))
    assert {row.item for row in rows if row.state is CallState.FAILED} == {0, 5, 10, 15}
    assert len({row.map_id for row in rows}) == 1
    (totals,) = artifacts_of(prefect_server, known.id)
    assert "20 calls, **4 failed**" in totals["description"]
    (progress,) = artifacts_of(prefect_server, known.id, "conduit-picky")
    assert progress["type"] == "progress"
    assert progress["data"] == 100
    assert progress["description"] == "picky: 20 of 20 items, 4 failed"


def test_a_map_that_fails_is_no_false_green(run: Runner) -> None:
    @block
    def picky(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    error, known = run(lambda_flow(lambda: picky.map(list(range(10)), batch=2, errors="finish")))
    assert isinstance(error, MapFailed)
    assert known.state == "FAILED"
    assert records().flush()
    assert len(records().block_calls(limit=100, flow_run_id=known.id)) == 10
