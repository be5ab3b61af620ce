"""The embedded engine and its process, without the web server: what it answers, and how it ends."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import random_weights
from gpu_server.engines.base import (
    EngineLost,
    Job,
    LoadError,
    Message,
    Piece,
    PromptTooLong,
    SchemaRefused,
    Tool,
    ToolCall,
    Unsupported,
)
from gpu_server.engines.mistralrs import MistralRsEngine
from gpu_server.settings import ModelSettings
from support.embedding_model import as_embedding_model
from support.tool_model import TOOL_TEMPLATE, with_template

DEADLINE_S = 30.0
HELLO = [Message("user", "hello")]
WEATHER = Tool(
    "weather",
    "tells it",
    {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights.make(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def tool_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_template(random_weights.make(tmp_path_factory.mktemp("tools")), TOOL_TEMPLATE)


@pytest.fixture(scope="module")
def embedding_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_embedding_model(random_weights.make(tmp_path_factory.mktemp("embeds")))


@asynccontextmanager
async def loaded(folder: Path, log: Path | None = None, **fields: Any) -> AsyncIterator[MistralRsEngine]:
    settings = ModelSettings(
        **{"model_id": "m", "path": folder, "max_model_len": 512, "max_model_concurrency": 8, **fields}
    )
    engine = MistralRsEngine(settings, log=log)
    try:
        await engine.load()
        yield engine
    finally:
        await engine.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, DEADLINE_S))


def job(**fields: Any) -> Job:
    return Job(**{"messages": HELLO, "prompt_tokens": 0, "max_tokens": 12, "temperature": 0, **fields})


async def pieces(engine: MistralRsEngine, asked: Job) -> list[Piece]:
    return [piece async for piece in engine.stream(asked)]


def test_a_stream_says_what_the_whole_answer_says(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            whole = await engine.complete(job())
            parts = await pieces(engine, job())
            assert "".join(part.text for part in parts) == whole.text
            assert [part.finish for part in parts[:-1]] == [None] * (len(parts) - 1)
            assert (parts[-1].finish, parts[-1].usage) == (whole.finish, whole.usage)
            assert whole.usage.prompt_tokens == await engine.prompt_tokens(HELLO, constrained=False)
            assert engine.counters.completion_tokens == 2 * whole.usage.completion_tokens

    run(work())


def test_raw_text_goes_on_without_a_template(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            done = await engine.complete(job(messages=[], prompt="The quick brown"))
            assert done.usage.prompt_tokens == await engine.text_tokens("The quick brown")
            asked = await engine.prompt_tokens([Message("user", "The quick brown")], constrained=False)
            assert asked > done.usage.prompt_tokens
            parts = await pieces(engine, job(messages=[], prompt="The quick brown"))
            assert "".join(part.text for part in parts) == done.text
            # The template's own text, given raw, is the conversation.
            rendered = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
            raw = await engine.complete(job(messages=[], prompt=rendered))
            assert raw.text == (await engine.complete(job())).text

    run(work())


@pytest.mark.parametrize("schema", [None, {"type": "array", "items": {"type": "boolean"}, "minItems": 3}])
def test_every_token_has_its_probability(random_model: Path, schema: dict[str, Any] | None) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            done = await engine.complete(job(logprobs=3, schema=schema, max_tokens=6))
            parts = await pieces(engine, job(logprobs=3, schema=schema, max_tokens=6))
            assert [each for part in parts for each in part.logprobs] == list(done.logprobs)
            raw = b"".join(bytes(each.bytes or ()) for each in done.logprobs)
            assert raw.decode().strip() == done.text.strip()
            for each in done.logprobs:
                assert -60 < each.logprob <= 0
                assert all(math.isfinite(other.logprob) for other in each.top)
                assert [other.logprob for other in each.top] == sorted(
                    (other.logprob for other in each.top), reverse=True
                )
                assert each.top[0].logprob == pytest.approx(each.logprob)  # greedy
                assert len(each.top) == 3 or schema is not None
            plain = await engine.complete(job(logprobs=None, schema=schema, max_tokens=6))
            assert not plain.logprobs
            assert plain.text == done.text

    run(work())


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_a_call_that_must_be_made_is_made(tool_model: Path, choice: str) -> None:
    async def work() -> None:
        async with loaded(tool_model) as engine:
            assert engine.abilities.tools
            asked = job(tools=[WEATHER], tool_choice=choice, max_tokens=200, temperature=1.0)
            done = await engine.complete(asked)
            parts = await pieces(engine, asked)
            streamed = [call for part in parts for call in part.tool_calls]
            for text, finish, calls in (
                (done.text, done.finish, done.tool_calls),
                ("".join(part.text for part in parts), parts[-1].finish, streamed),
            ):
                assert (text, finish) == ("", "tool_calls")
                (call,) = calls
                assert (call.index, call.name) == (0, "weather")
                assert json.loads(call.arguments)["city"] in ("Oslo", "Rome")

    run(work())


def test_the_prompt_holds_the_tools_and_the_calls_of_earlier_turns(tool_model: Path) -> None:
    async def work() -> None:
        async with loaded(tool_model) as engine:
            call = ToolCall(0, "a", "weather", '{"city": "Oslo"}')
            talk = [
                *HELLO,
                Message("assistant", "", tool_calls=[call]),
                Message("tool", "sunny", tool_call_id="a"),
            ]
            for messages in (HELLO, talk):
                for tools in ((), (WEATHER,)):
                    counted = await engine.prompt_tokens(messages, constrained=False, tools=tools)
                    done = await engine.complete(job(messages=messages, tools=tools))
                    assert done.usage.prompt_tokens == counted
            bare = [*HELLO, Message("assistant", ""), Message("tool", "sunny")]
            with_calls = await engine.prompt_tokens(talk, constrained=False)
            assert with_calls > await engine.prompt_tokens(bare, constrained=False)
            told = await engine.prompt_tokens(HELLO, constrained=False, tools=[WEATHER])
            assert told > await engine.prompt_tokens(HELLO, constrained=False)

    run(work())


def test_what_it_cannot_do_is_refused_by_name(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            assert not engine.abilities.tools
            for param, fields in (
                ("seed", {"seed": 1, "temperature": 1.0}),
                ("tools", {"tools": [WEATHER]}),
                ("top_logprobs", {"logprobs": 21}),
            ):
                with pytest.raises(Unsupported) as refused:
                    await engine.complete(job(**fields))
                assert refused.value.param == param
            with pytest.raises(Unsupported):
                await engine.embed(["text"])
            with pytest.raises(SchemaRefused):
                await engine.complete(
                    job(schema={"type": "string", "format": "no such format", "minLength": -1})
                )
            assert (await engine.complete(job())).text  # none of it did harm

    run(work())


def test_texts_become_vectors_in_order_and_none_is_cut(embedding_model: Path) -> None:
    async def work() -> None:
        async with loaded(embedding_model, task="embed", max_model_len=64) as engine:
            assert engine.abilities.embeddings
            assert not engine.abilities.generate
            texts = [f"text {number}" for number in range(20)]
            done = await engine.embed(texts)
            assert len(done.vectors) == 20
            assert done.prompt_tokens == sum([await engine.text_tokens(text) for text in texts])
            (single,) = (await engine.embed([texts[13]])).vectors
            assert single == pytest.approx(done.vectors[13], abs=1e-4)
            assert single != pytest.approx(done.vectors[12], abs=1e-3)
            with pytest.raises(PromptTooLong, match=r"text 1 has .* 64 is the most"):
                await engine.embed(["short", "word " * 200])
            with pytest.raises(Unsupported):
                await engine.complete(job())
            assert engine.counters.prompt_tokens > done.prompt_tokens

    run(work())


def test_a_killed_engine_fails_its_requests_at_once_and_says_how_it_ended(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model, max_model_len=4096) as engine:
            long = job(max_tokens=4000, ignore_eos=True)
            running = [asyncio.create_task(engine.complete(long)) for _ in range(3)]
            stream = engine.stream(long)
            await anext(stream)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            assert "SIGKILL" in await engine.lost()
            for task in running:
                with pytest.raises(EngineLost, match="SIGKILL"):
                    await task
            with pytest.raises(EngineLost):
                _ = [part async for part in stream]
            with pytest.raises(EngineLost):
                await engine.complete(job())
            assert not await engine.answers()

    run(work())


def test_a_cancelled_request_leaves_the_batch_and_the_others_go_on(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model, max_model_len=4096) as engine:
            stays = asyncio.create_task(engine.complete(job(max_tokens=200, ignore_eos=True)))
            leaves = asyncio.create_task(engine.complete(job(max_tokens=4000, ignore_eos=True)))
            deadline = time.monotonic() + 10
            while engine.counters.completion_tokens == 0:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)
            leaves.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaves
            assert (await stays).usage.completion_tokens == 200
            assert engine.counters.cancelled == 1
            assert engine.counters.completion_tokens < 3000
            assert await engine.answers()

    run(work())


def test_sequences_that_lose_step_with_each_other_are_all_read_to_the_end(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            # Each character is three tokens, and only the third makes a piece: these fall behind their convoy.
            wide = {"type": "string", "pattern": "^[\u4e00-\u4e20]{12}$"}
            count = await engine.prompt_tokens(HELLO, constrained=False)
            asked = [
                job(
                    prompt_tokens=count,
                    max_tokens=60,
                    ignore_eos=at % 2 == 0,
                    schema=wide if at % 2 else None,
                )
                for at in range(8)
            ]
            answers = await asyncio.gather(*map(engine.complete, asked))
            for at, answer in enumerate(answers):
                if at % 2:
                    assert len(json.loads(answer.text)) == 12
                else:
                    assert answer.usage.completion_tokens == 60
            assert len({answer.text for answer in answers[::2]}) == 1

    run(work())


def test_a_stream_that_nobody_reads_holds_nobody_up(random_model: Path) -> None:
    async def work() -> None:
        async with loaded(random_model) as engine:
            unread = engine.stream(job(max_tokens=100, ignore_eos=True))
            first = await anext(unread)
            await engine.complete(job(max_tokens=150, ignore_eos=True))
            rest = [part async for part in unread]
            assert len(rest) <= 3  # what came meanwhile is one piece
            whole = await engine.complete(job(max_tokens=100, ignore_eos=True))
            assert first.text + "".join(part.text for part in rest) == whole.text

    run(work())


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "import sys; sys.stdin.read(1); print('Hello, I am not an engine', flush=True); sys.stdin.read()",
            "no frame",
        ),
        ("import sys; sys.exit('no GPU here')", "status 1.*no GPU here"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os, sys; os.close(1); sys.stdin.read()", "SIGKILL|status 0"),
    ],
)
def test_a_program_that_is_no_engine_is_a_clear_failure_to_load(
    random_model: Path, script: str, why: str
) -> None:
    async def work() -> None:
        with pytest.raises(LoadError, match=why):
            async with loaded(random_model, engine_command=[sys.executable, "-c", script]):
                pass

    run(work())


def test_garbage_after_loading_ends_the_engine_with_a_clear_error(random_model: Path) -> None:
    script = (
        "import json, struct, sys\n"
        "out = sys.stdout.buffer\n"
        "body = json.dumps([['loaded', {}, {'tools': False}]]).encode()\n"
        "out.write(struct.pack('>I', len(body)) + body); out.flush()\n"
        "while b'submit' not in sys.stdin.buffer.read1(65536): pass\n"
        "out.write(b'\\xff' * 64); out.flush(); sys.stdin.read()\n"
    )

    async def work() -> None:
        async with loaded(random_model, engine_command=[sys.executable, "-c", script]) as engine:
            with pytest.raises(EngineLost, match="no frame"):
                await engine.complete(job())
            assert "no frame" in await engine.lost()

    run(work())


def test_loading_is_given_up_after_its_time(random_model: Path) -> None:
    async def work() -> None:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        with pytest.raises(LoadError, match=r"startup_timeout_s=0\.2"):
            async with loaded(random_model, engine_command=command, startup_timeout_s=0.2):
                pass

    run(work())


def test_what_the_engine_prints_goes_to_its_log(random_model: Path, tmp_path: Path, capfd: Any) -> None:
    log = tmp_path / "logs" / "m.log"
    script = "import sys; print('one', file=sys.stderr); print('last words', file=sys.stderr); sys.exit(3)"

    async def work() -> None:
        for file in (log, log, None):
            with pytest.raises(LoadError, match="status 3; its last line: last words"):
                async with loaded(random_model, log=file, engine_command=[sys.executable, "-c", script]):
                    pass

    run(work())
    assert log.read_text() == "one\nlast words\n" * 2
    assert capfd.readouterr().err.count("last words") == 1


def test_the_engine_ends_with_a_parent_that_is_killed(random_model: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from gpu_server.engines.mistralrs import MistralRsEngine\n"
        "from gpu_server.settings import ModelSettings\n"
        "async def main():\n"
        "    engine = MistralRsEngine(ModelSettings(model_id='m', path=Path(sys.argv[1])))\n"
        "    await engine.load()\n"
        "    print(engine.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(random_model)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        engine = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([engine], timeout=10)[1] == []


def test_the_engine_s_process_knows_no_token_and_nothing_of_the_server(
    random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_SERVER_TOKEN", "a-secret-token")
    loaded_modules = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, gpu_server.engines.embedded.host, mistralrs, tokenizers, jinja2; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"pydantic", "starlette", "uvicorn", "prometheus_client", "aiohttp", "asyncio"} & set(
        loaded_modules
    )

    async def work() -> None:
        async with loaded(random_model) as engine:
            environment = psutil.Process(engine.pid).environ()
            assert "GPU_SERVER_TOKEN" not in environment
            assert "a-secret-token" not in environment.values()

    run(work())


def test_closing_ends_the_process_whatever_it_does(random_model: Path) -> None:
    async def work(fields: dict[str, Any], use: Callable[[MistralRsEngine], Awaitable[object]]) -> None:
        settings = ModelSettings(**{"model_id": "m", "path": random_model, "max_model_len": 4096, **fields})
        engine = MistralRsEngine(settings)
        loading = asyncio.create_task(engine.load())
        if not fields:
            await loading
        while engine.pid is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        process = psutil.Process(engine.pid)
        using = asyncio.create_task(use(engine))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await engine.close()
        await engine.close()  # twice does no harm
        await asyncio.wait([loading, using])
        assert psutil.wait_procs([process], timeout=5)[1] == []
        assert loading.exception() is None or isinstance(loading.exception(), LoadError)
        assert using.exception() is None or isinstance(using.exception(), EngineLost)

    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    run(work({}, lambda engine: engine.complete(job(max_tokens=4000, ignore_eos=True))))
    run(work({"engine_command": [sys.executable, "-c", deaf]}, lambda engine: asyncio.sleep(0)))
