"""Blocks in real flows, against a real Prefect server: tasks, edges, failures, retries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from conduit import LMLite, ModelConfig, override
from conduit.dataflow import ItemFailure, block, require_server
from conduit.errors import BlockInputError, BlockOutputError, BlockTimeout, HttpTimeout, MapFailed
from conduit.lmlite import flow_run_id
from conduit.testing import FakeLM
from support.flow_runs import Runner, plain
from support.flow_runs import known as known_run


@dataclass
class Page:
    text: str
    status: int = 200


@dataclass
class Ticket:
    summary: str
    length: int


lm = LMLite(models=[ModelConfig("conduit/tiny", max_model_concurrency=8)])


@block
def fetch(url: str) -> Page:
    return Page("\n".join(f"message number {number}" for number in range(150)))


@block
def split(text: str) -> list[str]:
    return text.split("\n")


@lm.block
def extract(message: str) -> Ticket:
    """Read a message."""


@block
def insert(table: str, rows: list[Ticket]) -> int:
    return len(rows)


@block
def double(number: int) -> int:
    return number * 2


@block
async def adouble(number: int) -> int:
    return number * 2


@block
def picky(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"three divides {number}")
    return number


def test_the_graph_shows_every_step_of_a_mapped_flow(run: Runner) -> None:
    def inbox() -> int:
        messages = split(fetch("http://x").text)
        tickets = extract.map(messages, batch=64)
        return insert("tickets", tickets)

    runs = set()

    def answer(message: str) -> Ticket:
        runs.add(flow_run_id.get())
        return Ticket(message, len(message))

    with override(lm=FakeLM({"extract": answer})) as fake:
        result, known = run(inbox)
    assert result == 150
    # What the run log writes for each call.
    assert runs == {known.tasks[0]["flow_run_id"]}
    assert len(fake.calls) == 150
    batches = ["extract[0:64]", "extract[64:128]", "extract[128:150]"]
    assert known.edges() == {
        ("fetch", "split"),
        *(("split", batch) for batch in batches),
        *((batch, "insert") for batch in batches),
    }
    assert [task["state_type"] for task in known.tasks] == ["COMPLETED"] * 6
    assert all(task["tags"] == [] for task in known.tasks)


def test_edges_survive_slices_gathered_lists_and_fields(run: Runner) -> None:
    @block
    def join(texts: list[str]) -> str:
        return " ".join(texts)

    def inbox() -> None:
        messages = split(fetch("http://x").text)
        first, second = join(messages[:2]), join([messages[7], "of the user's own"])
        double(len(first))
        pages = fetch.map(["a", "b"], batch=1)
        split.map([page.text for page in pages], batch=1)
        insert("t", [Ticket(first, 1), Ticket(second, 2)])

    _, known = run(inbox)
    assert known.edges() == {
        ("fetch", "split"),
        ("split", "join"),
        ("fetch[0:1]", "split[0:1]"),
        ("fetch[1:2]", "split[1:2]"),
        ("join", "insert"),
    }


def test_the_results_of_a_map_are_known_as_a_whole(run: Runner) -> None:
    @block
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    def flow() -> int:
        # Small numbers have no identity of their own: only the list tells where they came from.
        return total(double.map([1, 2, 3], batch=2))

    result, known = run(flow)
    assert result == 12
    assert known.edges() == {("double[0:2]", "total"), ("double[2:3]", "total")}


def test_async_flows_calls_maps_and_generators(run: Runner) -> None:
    @block
    async def count(to: int) -> AsyncIterator[int]:
        for number in range(1000, 1000 + to):
            yield number

    async def flow() -> list[Any]:
        one = await adouble(500)
        many = await adouble.map([one, 2, 3], batch=2)
        return [one, many, [await adouble(number) async for number in count(2)]]

    result, known = run(flow)
    assert result == [1000, [2000, 4, 6], [2000, 2002]]
    assert {("adouble", "adouble[0:2]"), ("count", "adouble")} <= known.edges()
    assert [plain(name) for name in known.names].count("adouble") == 3
    assert known.state == "COMPLETED"


def test_a_generator_block_is_one_task_and_its_consumers_are_their_own(run: Runner) -> None:
    @block
    def count(to: int) -> Iterator[int]:
        yield from range(1000, 1000 + to)

    def flow() -> list[int]:
        return [double(number) for number in count(2)]

    result, known = run(flow)
    assert result == [2000, 2002]
    assert sorted(plain(name) for name in known.names) == ["count", "double", "double"]
    assert known.edges() == {("count", "double")}
    assert all(not node["encapsulating"] for node in known.nodes.values())


def test_a_generator_left_early_ends_well(run: Runner) -> None:
    closed = []

    @block
    def count() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append(True)

    def flow() -> int:
        items = count()
        found = next(number for number in items if number == 3)
        items.close()
        return double(found)

    result, known = run(flow)
    assert result == 6
    assert closed == [True]
    assert {task["state_type"] for task in known.tasks} == {"COMPLETED"}


def test_an_async_generator_left_early_ends_well(run: Runner) -> None:
    closed = []

    @block
    async def count() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            closed.append(number)

    async def flow() -> int:
        items = count()
        first = await anext(items)
        await items.aclose()
        return await adouble(first)

    result, known = run(flow)
    assert result == 0
    assert closed == [0]
    assert {task["state_type"] for task in known.tasks} == {"COMPLETED"}


def test_submitted_calls_run_as_tasks_and_futures_make_edges(run: Runner) -> None:
    def flow() -> int:
        first = double.submit(1)
        second = double.submit(first)
        return insert("t", []) + double(second) + adouble.submit(1).result()

    result, known = run(flow)
    assert result == 10
    assert ("double", "double") in known.edges()
    assert len(known.tasks) == 5


def test_a_failed_submission_raises_its_own_error_downstream(run: Runner) -> None:
    def flow() -> int:
        return double.submit(picky.submit(3)).result()

    error, known = run(flow)
    assert isinstance(error, ValueError)
    assert str(error) == "three divides 3"
    assert known.state == "FAILED"
    assert [task["state_type"] for task in known.tasks] == ["FAILED", "FAILED"]


def test_a_failed_item_fails_its_batch_and_the_flow(run: Runner) -> None:
    error, known = run(lambda_flow(lambda: picky.map([1, 2, 3, 4], batch=2)))
    assert isinstance(error, MapFailed)
    assert list(error.failures) == [2]
    assert isinstance(error.failures[2], ValueError)
    assert error.total == 4
    assert known.state == "FAILED"
    states = {task["name"]: task["state_type"] for task in known.tasks}
    assert states == {"picky[0:2]": "COMPLETED", "picky[2:4]": "FAILED"}


def lambda_flow(body: Callable[[], Any]) -> Callable[[], Any]:
    def flow() -> Any:
        return body()

    return flow


def test_an_async_map_fails_its_batch_and_the_flow(run: Runner) -> None:
    @block
    async def apicky(number: int) -> int:
        return picky.raw(number)

    async def flow() -> list[int]:
        return await apicky.map([1, 2, 3, 4], batch=2)

    error, known = run(flow)
    assert isinstance(error, MapFailed)
    assert list(error.failures) == [2]
    assert known.state == "FAILED"


def test_collected_failures_stand_in_place(run: Runner) -> None:
    def flow() -> list[Any]:
        return picky.map([1, 3, 2], batch=2, errors="collect", concurrency=2)

    result, known = run(flow)
    assert result[0] == 1
    assert isinstance(result[1], ItemFailure)
    assert result[1].index == 1
    assert known.state == "COMPLETED"


def test_wrong_arguments_and_results_fail_the_task_with_typed_errors(run: Runner) -> None:
    @block
    def wrong() -> Page:
        return 3

    error, known = run(lambda_flow(lambda: double("x")))
    assert isinstance(error, BlockInputError)
    assert [task["state_type"] for task in known.tasks] == ["FAILED"]
    error, known = run(lambda_flow(wrong))
    assert isinstance(error, BlockOutputError)
    assert known.state == "FAILED"


def test_options_reach_the_task(run: Runner) -> None:
    failures = [OSError("first"), OSError("second")]

    @block(retries=2, tags=["nightly"], name="careful", retry_delay_s=0)
    def flaky(number: int) -> int:
        """Reads carefully."""
        if failures:
            raise failures.pop()
        return number

    result, known = run(lambda_flow(lambda: flaky(7)))
    assert result == 7
    (task,) = known.tasks
    assert task["name"].startswith("careful-")
    assert task["tags"] == ["nightly"]
    assert task["run_count"] == 3


def test_wrong_arguments_are_not_retried_in_a_flow(run: Runner) -> None:
    error, known = run(lambda_flow(lambda: double.with_options(retries=3)("x")))
    assert isinstance(error, BlockInputError)
    assert known.tasks[0]["run_count"] == 1


@pytest.mark.parametrize(
    ("answer", "kind", "attempts"),
    [
        (HttpTimeout("late"), HttpTimeout, 3),
        (OSError("lost"), OSError, 1),
        ("three", BlockOutputError, 1),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_flow_retries_after_the_chosen_errors_alone(
    run: Runner, answer: Any, kind: type[Exception], attempts: int
) -> None:
    @block(retries=2, retry_on=HttpTimeout)
    def fetch(number: int) -> int:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    error, known = run(lambda_flow(lambda: fetch(1)))
    assert isinstance(error, kind)
    assert known.tasks[0]["run_count"] == attempts


def test_a_time_limit_holds_in_a_flow(run: Runner) -> None:
    @block(timeout_s=0.1)
    async def stuck() -> None:
        await asyncio.sleep(60)

    async def flow() -> None:
        await stuck()

    error, known = run(flow)
    assert isinstance(error, BlockTimeout)
    assert known.state == "FAILED"


def test_a_block_within_a_block_is_part_of_its_task(run: Runner) -> None:
    @block
    def outer(number: int) -> list[int]:
        return [double(number), *double.map([1, 2]), double.submit(3).result()]

    result, known = run(lambda_flow(lambda: outer(1)))
    assert result == [2, 2, 4, 6]
    assert [plain(name) for name in known.names] == ["outer"]


def test_blocks_of_a_flow_that_a_block_calls_are_tasks_of_that_flow(run: Runner) -> None:
    from prefect import flow

    ids = []

    @flow
    def inner() -> int:
        from prefect.context import FlowRunContext

        ids.append(str(FlowRunContext.get().flow_run.id))
        return double(4)

    @block
    def outer() -> int:
        return inner()

    result, _ = run(lambda_flow(outer))
    assert result == 8
    api = require_server()
    assert [plain(name) for name in known_run(api, ids[0]).names] == ["double"]


def test_methods_are_tasks_too(run: Runner) -> None:
    class Desk:
        @block
        def take(self, number: int) -> int:
            return number

    result, known = run(lambda_flow(lambda: [Desk().take(1), *Desk().take.map([2, 3])]))
    assert result == [1, 2, 3]
    assert sorted(plain(name) for name in known.names) == ["take", "take[0:2]"]


def test_a_blocks_own_connection_failure_is_not_the_servers(run: Runner) -> None:
    @block
    def calls_nobody() -> None:
        raise httpx.ConnectError("nobody listens")

    error, _ = run(lambda_flow(calls_nobody))
    assert isinstance(error, httpx.ConnectError)


def test_an_ended_flows_values_are_let_go_when_the_next_one_starts(run: Runner) -> None:
    from conduit.dataflow import flow_runs

    run(lambda_flow(lambda: double(1000)))
    _, known = run(lambda_flow(lambda: double.map([1, 2])))
    assert [str(kept) for kept in flow_runs._runs] == [known.tasks[0]["flow_run_id"]]


PROCESSES = """
import os
from prefect import flow
from prefect.task_runners import ProcessPoolTaskRunner
from support.picklable_blocks import Desk, double, double_elsewhere

@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
def spread():
    here, one = double_elsewhere.submit(1).result()
    assert here != os.getpid()
    many = [value for _, value in double_elsewhere.map([one, 4, 3], batch=2, concurrency=2)]
    return one, many, double.submit(double.submit(5)).result(), Desk().take.submit(7).result()

if __name__ == "__main__":
    assert spread() == (2, [4, 8, 6], 20, 7)
    print("all well")
"""


def test_a_runner_of_processes_runs_blocks_batches_and_futures(prefect_server: str, tmp_path: Path) -> None:
    script = tmp_path / "spread.py"
    script.write_text(PROCESSES)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    # A process of its own: the pool's resource tracker lives as long as the one that started it.
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "all well" in done.stdout, done.stderr[-3000:]


def test_a_server_in_reach_is_found(prefect_server: str) -> None:
    assert require_server() == prefect_server
