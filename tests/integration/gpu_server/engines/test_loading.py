"""What an engine must show before it counts as loaded, and how it says what is wrong. On stand-ins."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpu_server.engines.base import Engine, LoadError
from gpu_server.engines.openai import OpenAIEngine
from gpu_server.engines.remote import servers
from gpu_server.settings import TOKEN_VARIABLE, ModelSettings

from .conftest import ENGINES, KEY_VARIABLE, LIMIT, STAND_IN, Attachable, until

KINDS = ["sglang", "vllm"]


def engine_of(kind: str, folder: Path, modes: str = "", **settings: Any) -> Engine:
    fields = {
        "model_id": "random",
        "path": folder,
        "engine": kind,
        "max_model_len": LIMIT,
        "engine_command": STAND_IN,
        "engine_args": ["--stand-in", modes],
        **settings,
    }
    return ENGINES[kind](ModelSettings(**fields), log=folder / "engine.log")


@asynccontextmanager
async def closing(engine: Engine) -> AsyncIterator[Engine]:
    try:
        yield engine
    finally:
        await engine.close()


def refusal(engine: Engine) -> str:
    """Load it and return why that failed; nothing of it may be left."""

    async def load() -> str:
        async with closing(engine):
            with pytest.raises(LoadError) as refused:
                await engine.load()
            return str(refused.value)

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    reason = asyncio.run(load())
    assert not [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    return reason


@pytest.mark.parametrize("mode", ["late", "late_hang", "load_s"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_answers_checks_too_early_is_waited_for(kind: str, mode: str, tmp_path: Path) -> None:
    async def run() -> None:
        started = time.monotonic()
        async with closing(engine_of(kind, tmp_path, f"{mode}=1.5")) as engine:
            await engine.load()
            assert time.monotonic() - started >= 1.5
            assert await engine.answers()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_server.engines.remote.loading._FIRST_PATIENCE_S", 0.5)
    monkeypatch.setattr(servers, "REFUSED_S", 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_ends_while_it_loads_is_noticed_at_once_and_its_log_quoted(
    kind: str, tmp_path: Path
) -> None:
    for mode in ("exit=7", "exit_later=7"):
        started = time.monotonic()
        reason = refusal(engine_of(kind, tmp_path, mode, startup_timeout_s=300))
        assert time.monotonic() - started < 30
        assert "ended with code 7" in reason
        assert "RuntimeError: " in reason


def test_a_server_that_stays_late_is_given_up_after_the_time_that_was_set(tmp_path: Path) -> None:
    reason = refusal(engine_of("vllm", tmp_path, "late=1000", startup_timeout_s=1.5))
    assert "1.5 s" in reason
    assert "startup_timeout_s" in reason
    assert "the model is still loading" in reason


@pytest.mark.parametrize(("kind", "remedy"), [("sglang", "--grammar-backend"), ("vllm", "guidance")])
def test_an_engine_that_ignores_schemas_is_not_served(kind: str, remedy: str, tmp_path: Path) -> None:
    reason = refusal(engine_of(kind, tmp_path, "ignore_schema"))
    assert "does not obey JSON schemas" in reason
    assert remedy in reason


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    reason = refusal(engine_of("sglang", tmp_path, engine_command=["/nowhere/python"], engine_args=[]))
    assert "/nowhere/python" in reason


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_that_is_not_installed_says_how_to_get_it(kind: str, tmp_path: Path) -> None:
    reason = refusal(engine_of(kind, tmp_path, engine_command=None))
    assert f"uv pip install {kind}==" in reason
    assert "engine_command" in reason


def test_a_refused_flag_is_quoted_from_the_log(tmp_path: Path) -> None:
    reason = refusal(engine_of("vllm", tmp_path, engine_args=["--no-such-flag"]))
    assert "--no-such-flag" in reason


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_and_our_token_are_in_no_argument_list(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "our-own-token")

    async def run() -> None:
        async with closing(engine_of(kind, tmp_path)) as engine:
            await engine.load()
            key = engine._server.key  # type: ignore[attr-defined]
            children = psutil.Process().children(recursive=True)
            assert children
            for child in children:
                assert key not in " ".join(child.cmdline())
                assert TOKEN_VARIABLE not in child.environ()
            keys.append(key)

    keys: list[str] = []
    asyncio.run(run())
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or keys[0] not in path.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stubborn_process_is_ended_with_its_children(kind: str, tmp_path: Path) -> None:
    async def run() -> None:
        others = psutil.Process().children(recursive=True)
        engine = engine_of(kind, tmp_path, "stubborn")
        await engine.load()
        family = [child for child in psutil.Process().children(recursive=True) if child not in others]
        assert len(family) >= 2
        await asyncio.wait_for(engine.close(), 15)
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive

    asyncio.run(run())


def test_an_engine_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from gpu_server.engines.vllm import VllmEngine
from gpu_server.settings import ModelSettings

async def run():
    engine = VllmEngine(ModelSettings(model_id="random", path=Path({str(tmp_path)!r}), engine="vllm",
        max_model_len=512, engine_command={STAND_IN!r}), log=Path({str(tmp_path / "engine.log")!r}))
    await engine.load()
    print("loaded", flush=True)
    await asyncio.sleep(60)

asyncio.run(run())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_an_orphaned_launcher_starts_nothing() -> None:
    launcher = Path(servers.__file__).with_name("launcher.py")
    done = subprocess.run(
        [sys.executable, str(launcher), "1", "echo", "started"], capture_output=True, check=False, timeout=20
    )
    assert done.returncode != 0
    assert b"started" not in done.stdout


@pytest.fixture
def attachable(tmp_path: Path) -> Any:
    made: list[Attachable] = []

    def make(modes: str = "no_tokenize", *flags: str) -> Attachable:
        made.append(Attachable(tmp_path / f"server-{len(made)}", modes, *flags))
        return made[-1]

    yield make
    for one in made:
        one.end()


def attached(url: str, **settings: Any) -> OpenAIEngine:
    fields = {
        "model_id": "random",
        "engine": "openai",
        "url": f"{url}/v1",
        "max_model_len": LIMIT,
        **settings,
    }
    return OpenAIEngine(ModelSettings(**fields))


def test_a_server_that_cuts_prompts_is_found_out(attachable: Callable[..., Attachable]) -> None:
    reason = refusal(attached(attachable("no_tokenize,cut_prompt=200").url))
    assert "num_ctx" in reason
    assert "200" in reason
    assert "512" in reason


def test_a_server_with_less_context_than_was_set_is_refused(attachable: Callable[..., Attachable]) -> None:
    reason = refusal(attached(attachable("no_tokenize", "--max-model-len", "200").url))
    assert "num_ctx" in reason
    assert "max_model_len is 512" in reason


def test_an_attached_server_that_ignores_schemas_is_refused(attachable: Callable[..., Attachable]) -> None:
    assert "does not obey JSON schemas" in refusal(attached(attachable("ignore_schema").url))


def test_another_model_never_answers_for_the_one_that_was_named(
    attachable: Callable[..., Attachable],
) -> None:
    reason = refusal(attached(attachable().url, model_id="another"))
    assert "'another'" in reason
    assert "random" in reason


def test_a_wrong_or_missing_key_is_told(
    attachable: Callable[..., Attachable], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = attachable("no_tokenize", "--api-key", "right-key").url
    assert "api_key_variable" in refusal(attached(url))
    monkeypatch.setenv(KEY_VARIABLE, "wrong-key")
    reason = refusal(attached(url, api_key_variable=KEY_VARIABLE))
    assert KEY_VARIABLE in reason
    assert "wrong-key" not in reason
    monkeypatch.delenv(KEY_VARIABLE)
    assert "is not set" in refusal(attached(url, api_key_variable=KEY_VARIABLE))


def test_an_address_where_nothing_listens_is_named() -> None:
    reason = refusal(attached("http://127.0.0.1:9"))
    assert "127.0.0.1:9" in reason
    assert "refused" in reason


def test_a_missing_address_is_asked_for() -> None:
    assert '"url"' in refusal(OpenAIEngine(ModelSettings(model_id="random", engine="openai")))


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ("no_tokenize", {"completions": True, "seeds": True, "tools": True, "logprobs": 20}),
        ("no_completions,no_seed", {"completions": False, "seeds": False}),
        ("no_tools,no_logprobs", {"tools": False, "logprobs": None}),
    ],
)
def test_what_an_attached_server_can_do_is_found_by_trying(
    modes: str, expected: dict[str, object], attachable: Callable[..., Attachable]
) -> None:
    async def run() -> None:
        async with closing(attached(attachable(modes).url)) as engine:
            await engine.load()
            found = {name: getattr(engine.abilities, name) for name in expected}
            assert found == expected

    asyncio.run(run())


def test_a_tokenize_route_is_used_when_it_counts_as_the_engine_does(
    attachable: Callable[..., Attachable],
) -> None:
    async def run(modes: str) -> int | None:
        async with closing(attached(attachable(modes).url)) as engine:
            await engine.load()
            return await engine.text_tokens("one two three")

    assert asyncio.run(run("answer=9")) == 3
    assert asyncio.run(run("no_tokenize")) is None


def test_a_server_that_comes_back_in_time_was_never_lost(attachable: Callable[..., Attachable]) -> None:
    async def run() -> None:
        async with closing(attached(attachable().url)) as engine:
            await engine.load()
            waiting = asyncio.create_task(engine.lost())

            async def answers() -> bool:
                return await engine.answers()

            await until(answers, "it answers")
            assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())
