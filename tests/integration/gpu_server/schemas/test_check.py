"""The check of schemas in its own process: what it costs, what it survives, and that it ends with its server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpu_server.schemas.bounds import SchemaRefused
from gpu_server.schemas.check import COMPILER, KNOWN, CheckBusy, SchemaCheck

HANGS = "import sys, time\nprint('{\"refused\": null}', flush=True)\nsys.stdin.readline()\ntime.sleep(600)"
DIES = "import os\nprint('{\"refused\": null}', flush=True)\ninput(), input()\nos.abort()"


HANGS_SOMETIMES = (
    "import sys, time\n"
    "for line in sys.stdin:\n"
    "    if 'hang' in line: time.sleep(600)\n"
    "    print('{\"refused\": null}', flush=True)"
)


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def checked(work: Callable[[SchemaCheck], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        check = SchemaCheck(**options)
        try:
            await work(check)
        finally:
            await check.close()

    asyncio.run(run())


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


def test_the_process_starts_with_the_first_schema_and_ends_with_the_check() -> None:
    before = children()

    async def work(check: SchemaCheck) -> None:
        assert children() == before
        await check.check({"type": "object"})
        (compiler,) = (each for each in children() if each not in before)
        await check.check({"type": "string"})
        assert [each for each in children() if each not in before] == [compiler]

    checked(work)
    assert children() == before


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "no such type"}, "no such type"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"type": "string", "pattern": "(?=a)b"}, "."),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "no value"),
        ({"type": "integer", "multipleOf": 999_999_937}, "fuel"),
        ({"allOf": [{"anyOf": [{"properties": {f"a{i}{j}": {}}} for j in range(10)]} for i in range(8)]}, "large"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_be_enforced_is_refused_with_a_short_reason(schema: dict[str, Any], why: str) -> None:
    async def work(check: SchemaCheck) -> None:
        for _ in range(2):
            with pytest.raises(SchemaRefused, match=why) as refused:
                await check.check(schema)
            assert len(str(refused.value)) < 400
            assert "<state>" not in str(refused.value)
        await check.check(schema, compiled=False)  # another engine's grammar may take it

    checked(work)


def test_a_known_schema_does_not_go_to_the_process_again() -> None:
    async def work(check: SchemaCheck) -> None:
        await check.check({"type": "object"})
        with pytest.raises(SchemaRefused):
            await check.check({"type": "nonsense"})
        (compiler,) = (each for each in children() if "gpu_server.schemas.compiler" in each.cmdline())
        compiler.suspend()
        async with asyncio.timeout(10):
            await check.check({"type": "object"})
            with pytest.raises(SchemaRefused):
                await check.check({"type": "nonsense"})
        compiler.resume()

    checked(work)


def test_a_schema_that_takes_too_long_is_refused_and_the_next_gets_a_new_process() -> None:
    async def work(check: SchemaCheck) -> None:
        with pytest.raises(SchemaRefused, match="within"):
            await check.check({"const": "hang"})
        assert children() == before
        await check.check({"const": "fine"})

    before = children()
    checked(work, command=program(HANGS_SOMETIMES), deadline_s=1.0)


def test_a_schema_that_brings_the_process_down_is_refused() -> None:
    async def work(check: SchemaCheck) -> None:
        for number in range(2):
            with pytest.raises(SchemaRefused, match="memory"):
                await check.check({"const": number})

    checked(work, command=program(DIES))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space")
def test_the_memory_limit_holds() -> None:
    large = {"enum": ["x" * 100_000 + str(number) for number in range(40)]}

    async def refused(check: SchemaCheck) -> None:
        with pytest.raises(SchemaRefused, match="memory"):
            await check.check(large)
        await check.check({"type": "object"})

    async def taken(check: SchemaCheck) -> None:
        await check.check(large)

    checked(refused, memory_bytes=60 * 1024**2)
    checked(taken)


def test_the_loop_goes_on_while_a_schema_is_compiled() -> None:
    async def work(check: SchemaCheck) -> None:
        slow = asyncio.create_task(check.check({"const": 1}))
        beats = 0
        while not slow.done():
            await asyncio.sleep(0.01)
            beats += 1
        with pytest.raises(SchemaRefused):
            await slow
        assert beats > 10

    checked(work, command=program(HANGS), deadline_s=1.0)


def test_who_waits_for_others_schemas_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_server.schemas.check.QUEUE_S", 0.1)

    async def work(check: SchemaCheck) -> None:
        slow = asyncio.create_task(check.check({"const": 1}))
        await asyncio.sleep(0)
        with pytest.raises(CheckBusy):
            await check.check({"const": 2})
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    checked(work, command=program(HANGS), deadline_s=30)


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(check: SchemaCheck) -> None:
        for number in range(KNOWN + 10):
            await check.check({"const": number}, compiled=False)
        assert len(check._known) == KNOWN

    checked(work)


def test_the_compiler_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, psutil\n"
        "from gpu_server.schemas.check import SchemaCheck\n"
        "async def main():\n"
        "    check = SchemaCheck()\n"
        "    await check.check({'type': 'object'})\n"
        "    print(check._process.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        compiler = psutil.Process(int(server.stdout.readline()))
        assert compiler.cmdline()[1:3] == list(COMPILER[1:])
        server.kill()
    deadline = time.monotonic() + 20
    while compiler.is_running() and compiler.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
