"""Batches without sockets: rows and results, going on after a break, bounds, what is tried again."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api import answer_forms
from gpu_server.api.batch import batch as batch_module
from gpu_server.api.batch import batches as batches_module
from gpu_server.api.batch.batch import Batch, Working
from gpu_server.api.batch.batches import Batches
from gpu_server.api.batch.intake import Intake
from gpu_server.api.batch.spool import READ_BYTES, Spool
from gpu_server.errors import ApiError

CHAT = "/v1/chat/completions"


def line(custom_id: str, **body: Any) -> bytes:
    row = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": "m", **body}}
    return json.dumps(row).encode()


async def taken(*lines: bytes, parts: int = 0, max_line_bytes: int = 1000) -> Intake:
    content = b"\n".join(lines)

    async def body() -> AsyncIterator[bytes]:
        step = parts or len(content) or 1
        for start in range(0, len(content), step):
            yield content[start : start + step]

    intake = Intake(max_line_bytes)
    try:
        await intake.take(body())
    except ApiError:
        intake.spool.close()
        raise
    return intake


class Route:
    """Answers rows with their own body; waits at `gate`; fails as told."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[dict[str, Any]] = []
        self.fails: list[Exception] = []
        self.records: list[RequestRecord] = []
        self.running = self.most = 0

    async def __call__(self, body: bytes, record: RequestRecord) -> dict[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            self.asked.append(json.loads(body))
            if self.fails:
                raise self.fails.pop(0)
            return {"said": json.loads(body)}
        finally:
            self.running -= 1

    def working(self, *, workers: int = 3, max_result_bytes: int = 10**6) -> Working:
        return Working({CHAT: self}, lambda: workers, self.records.append, nullcontext, max_result_bytes)


async def lines_of(batch: Batch, after: int = 0) -> list[dict[str, Any]]:
    text = b"".join([part async for part in batch.results(after)])
    return [json.loads(each) for each in text.splitlines()]


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(0, 29))
def test_a_spool_gives_back_what_it_got(entries: list[bytes], start: int) -> None:
    spool = Spool()
    try:
        assert [spool.add(entry) for entry in entries] == list(range(len(entries)))
        assert [spool.read(number) for number in range(len(entries))] == entries
        read, position = b"", start
        while position < len(entries):
            part, position = spool.read_from(position)
            read += part
        assert read == b"".join(entries[start:])
    finally:
        spool.close()


def test_a_spool_is_read_in_parts_of_bounded_size() -> None:
    spool = Spool()
    for _ in range(10):
        spool.add(b"x" * (READ_BYTES // 3))
    assert [spool.read_from(number)[1] for number in (0, 3, 9)] == [3, 6, 10]
    spool.close()


@pytest.mark.parametrize("parts", [1, 7, 0])
def test_rows_are_read_however_the_body_is_cut(parts: int) -> None:
    async def run() -> None:
        lines = [line("a", n=1), b"", b"  ", line("b"), b"no json", line("c") + b"\r"]
        intake = await taken(*lines, parts=parts)
        assert [row.custom_id for row in intake.rows.values()] == ["a", "b", None, "c"]
        assert json.loads(intake.spool.read(0)) == {"model": "m", "n": 1}
        bad = json.loads(intake.spool.read(2))
        assert (bad["code"], bad["line"]) == ("invalid_json", 5)
        intake.spool.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"custom_id": "x"}', "invalid_value"),
        (b'{"custom_id": "x", "method": "GET", "url": "/v1/chat/completions", "body": {}}', "invalid_value"),
        (b'{"custom_id": "x", "method": "POST", "url": "/v1/nothing", "body": {}}', "invalid_value"),
        (b'{"custom_id": "", "method": "POST", "url": "/v1/embeddings", "body": {}}', "invalid_value"),
        (line("x")[:-1] + b', "n": 1}', "unsupported_parameter"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 500, "invalid_json"),
        (b"x" * 2000, "body_too_large"),
    ],
)  # fmt: skip
def test_a_bad_line_is_one_error_and_the_rest_goes_on(bad: bytes, code: str) -> None:
    async def run() -> None:
        intake = await taken(line("a"), bad, line("b"), parts=100)
        batch = Batch("b", Route().working(), "", 1)
        batch.add(intake)
        got = {each["custom_id"]: each for each in await lines_of(batch)}
        assert set(got) == {"a", None, "b"}
        assert got["a"]["response"]["status_code"] == got["b"]["response"]["status_code"] == 200
        assert (got[None]["response"], got[None]["error"]["code"], got[None]["error"]["line"]) == (
            None,
            code,
            2,
        )
        for each in got.values():
            answer_forms.BatchResult.model_validate(each)
        counts = answer_forms.BatchState.model_validate(batch.describe()).request_counts
        assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_no_more_than_one_line_is_held_in_memory() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield bytes(64 * 1024)
        yield b"\n" + line("after")

    async def run() -> None:
        intake = Intake(1000)
        tracemalloc.start()
        await intake.take(body())
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most_bytes < 2 * 1024**2
        assert [row.custom_id for row in intake.rows.values()] == [None, "after"]
        intake.spool.close()

    asyncio.run(run())


def test_one_custom_id_for_two_rows_is_refused() -> None:
    async def run() -> None:
        same = await taken(line("a", x=1), line("a", x=1))
        assert len(same.rows) == 1
        same.spool.close()
        with pytest.raises(ApiError) as refused:
            await taken(line("a", x=1), line("a", x=2))
        assert (refused.value.status, refused.value.code) == (409, "batch_row_differs")

    asyncio.run(run())


def test_results_come_as_they_finish_and_can_be_read_from_any_place() -> None:
    async def run() -> None:
        route = Route()
        route.gate.clear()
        batch = Batch("b", route.working(workers=1), "", 1)
        intake = await taken(*(line(f"r{number}") for number in range(5)))
        batch.add(intake)
        first = asyncio.create_task(anext(batch.results(0)))
        await asyncio.sleep(0)
        assert not first.done()
        route.gate.set()
        assert json.loads((await first).splitlines()[0])["custom_id"] == "r0"
        assert [each["custom_id"] for each in await lines_of(batch, after=3)] == ["r3", "r4"]
        assert [each["custom_id"] for each in await lines_of(batch)] == [f"r{n}" for n in range(5)]
        assert await lines_of(batch, after=99) == []
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_no_more_rows_are_at_work_than_there_are_workers() -> None:
    async def run() -> None:
        route = Route()
        route.gate.clear()
        batch = Batch("b", route.working(workers=3), "", 1)
        intake = await taken(*(line(f"r{number}") for number in range(20)))
        batch.add(intake)
        while route.running < 3:  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0)
        route.gate.set()
        assert len(await lines_of(batch)) == 20
        assert route.most == 3
        assert [record.batch for record in route.records] == [True] * 20
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_a_batch_sent_again_runs_only_what_has_no_result() -> None:
    async def run() -> None:
        route = Route()
        batch = Batch("b", route.working(), "", 1)
        for lines in ([line("a"), b"bad"], [line("a"), b"bad", line("c")]):
            intake = await taken(*lines)
            batch.add(intake)
            intake.spool.close()
            await lines_of(batch)
        assert len(route.asked) == 2
        assert [each["custom_id"] for each in await lines_of(batch)] == ["a", None, "c"]
        other = await taken(line("d"), line("a", x=1))
        with pytest.raises(ApiError) as refused:
            batch.add(other)
        assert refused.value.status == 409
        assert batch.describe()["request_counts"]["total"] == 3  # nothing of it was taken
        other.spool.close()
        await batch.close()

    asyncio.run(run())


def test_a_cancelled_batch_leaves_the_engines_and_can_be_gone_on_with() -> None:
    async def run() -> None:
        route = Route()
        route.gate.clear()
        batch = Batch("b", route.working(), "", 1)
        intake = await taken(*(line(f"r{number}") for number in range(6)))
        batch.add(intake)
        reading = asyncio.create_task(lines_of(batch))
        while route.running < 3:  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0)
        await batch.cancel()
        assert (route.running, batch.describe()["status"]) == (0, "cancelled")
        assert await reading == []
        assert {record.status for record in route.records} == {499}
        route.gate.set()
        batch.add(intake)
        assert sorted(each["custom_id"] for each in await lines_of(batch)) == [f"r{n}" for n in range(6)]
        assert batch.describe()["status"] == "completed"
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_a_full_queue_is_waited_for_and_a_lost_engine_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        pauses: list[float] = []
        sleep = asyncio.sleep

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await sleep(0)

        monkeypatch.setattr(batch_module.asyncio, "sleep", pause)
        route = Route()
        batch = Batch("b", route.working(workers=1), "", 1)
        route.fails = [errors.queue_full("m", 3, 7)] * 6 + [errors.engine_lost("m", 2)] * batch_module.TRIES
        intake = await taken(line("unlucky"), line("lucky"))
        batch.add(intake)
        unlucky, lucky = await lines_of(batch)
        assert unlucky["response"]["status_code"] == 503
        assert unlucky["response"]["body"]["error"]["code"] == "engine_lost"
        assert lucky["response"]["status_code"] == 200
        assert pauses == [7.0] * 6 + [2.0] * (batch_module.TRIES - 1)
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_refusals_and_faults_are_the_results_of_their_rows() -> None:
    async def run() -> None:
        route = Route()
        batch = Batch("b", route.working(workers=1), "", 1)
        route.fails = [errors.bad_request("no", param="n"), RuntimeError("secret")]
        intake = await taken(line("refused"), line("broke"), line("fine"))
        batch.add(intake)
        got = await lines_of(batch)
        assert [each["response"]["status_code"] for each in got] == [400, 500, 200]
        assert "secret" not in json.dumps(got)
        assert [record.code for record in route.records] == ["invalid_value", "internal", None]
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_results_beyond_the_bound_are_errors() -> None:
    async def run() -> None:
        batch = Batch("b", Route().working(workers=1, max_result_bytes=300), "", 1)
        intake = await taken(*(line(f"r{number}") for number in range(4)))
        batch.add(intake)
        got = await lines_of(batch)
        assert [each["error"] and each["error"]["code"] for each in got] == [
            None,
            None,
            "batch_results_too_large",
            "batch_results_too_large",
        ]
        intake.spool.close()
        await batch.close()

    asyncio.run(run())


def test_what_is_kept_is_bounded_in_time_and_number_and_belongs_to_its_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        monkeypatch.setattr(batches_module, "MAX_KEPT", 3)
        now = 0.0
        route = Route()
        kept = Batches(route.working(), retention_s=3600, max_kept_bytes=10**9, clock=lambda: now)
        mine, theirs = RequestRecord("r1", token_number=1), RequestRecord("r2", token_number=2)

        async def add(name: str, record: RequestRecord = mine) -> Batch:
            intake = await taken(line("a"))
            batch = await kept.add(record, name, intake)
            intake.spool.close()
            await lines_of(batch)
            return batch

        first = await add("x")
        assert kept.find(mine, "x") is first
        with pytest.raises(ApiError) as missing:
            kept.find(theirs, "x")
        assert missing.value.code == "batch_not_found"
        assert await add("x", theirs) is not first
        for name in ("y", "z"):
            await add(name)
        with pytest.raises(ApiError):
            kept.find(mine, "x")  # the oldest went
        now = first.created_at + 4000.0
        await kept.make_room()
        with pytest.raises(ApiError):
            kept.find(mine, "z")
        await kept.close()

    asyncio.run(run())


def test_batches_that_run_are_bounded_and_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(batches_module, "MAX_RUNNING", 2)
        route = Route()
        route.gate.clear()
        kept = Batches(route.working(), retention_s=0.001, max_kept_bytes=1)
        record = RequestRecord("r", token_number=1)
        intake = await taken(line("a"))
        running = [await kept.add(record, name, intake) for name in "xy"]
        with pytest.raises(ApiError) as refused:
            await kept.add(record, "z", intake)
        assert (refused.value.status, refused.value.code) == (429, "too_many_batches")
        assert await kept.add(record, "x", intake) is running[0]  # going on with one is none more
        await kept.make_room()
        assert kept.find(record, "y") is running[1]
        intake.spool.close()
        await kept.close()
        assert route.running == 0

    asyncio.run(run())
