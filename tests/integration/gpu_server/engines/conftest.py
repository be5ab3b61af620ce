"""Loaded engines of every kind, on stand-ins for their servers or, where an environment is named, on the real ones.

`CONDUIT_TEST_SGLANG` and `CONDUIT_TEST_VLLM` name the python of an environment that has the engine; further flags
for it go into `CONDUIT_TEST_SGLANG_ARGS` and `CONDUIT_TEST_VLLM_ARGS`. The model is small and has random weights.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from gpu_server.engines.base import Completion, Engine, Job, Message
from gpu_server.engines.mistralrs import MistralRsEngine
from gpu_server.engines.openai import OpenAIEngine
from gpu_server.engines.sglang import SglangEngine
from gpu_server.engines.vllm import VllmEngine
from gpu_server.settings import ModelSettings

STAND_IN = [sys.executable, str(Path(__file__).parents[3] / "support" / "stand_in_engine.py")]
LIMIT = 512
DEADLINE_S = 20.0
KEY_VARIABLE, KEY = "KEY_OF_THE_ATTACHED_SERVER", "integration-token"
_PROGRAMS = {
    "sglang": ["-m", "sglang.launch_server"],
    "vllm": ["-m", "vllm.entrypoints.cli.main", "serve"],
}
# Read now: the variables of the project are taken away while tests run.
REAL = {
    kind: ([python, *program], shlex.split(os.environ.get(f"CONDUIT_TEST_{kind.upper()}_ARGS", "")))
    for kind, program in _PROGRAMS.items()
    if (python := os.environ.get(f"CONDUIT_TEST_{kind.upper()}"))
}
ENGINES: dict[str, Callable[..., Engine]] = {
    "mistralrs": MistralRsEngine,
    "sglang": SglangEngine,
    "vllm": VllmEngine,
    "openai": OpenAIEngine,
}


class Attachable:
    """A server that the engine does not start: a stand-in, listening once this is made."""

    def __init__(self, folder: Path, modes: str = "no_tokenize", *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        announce = folder / "announce.json"
        line = ["--served-model-name", "random", "--announce", str(announce), "--stand-in", modes, *flags]
        if "--max-model-len" not in flags:
            line += ["--max-model-len", str(LIMIT)]
        self.process = subprocess.Popen([*STAND_IN, *line])
        deadline = time.monotonic() + DEADLINE_S
        while not announce.exists():
            assert time.monotonic() < deadline, "the stand-in does not listen"
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{json.loads(announce.read_text())['port']}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Loaded:
    """An engine that has loaded, with ways to ask it and to look behind it."""

    def __init__(self, kind: str, engine: Engine, pids: list[int], behind: str | None) -> None:
        self.kind = kind
        self.engine = engine
        self.pids = pids
        self._behind = behind

    @property
    def real(self) -> bool:
        return not (self.kind == "openai" or self.kind in _PROGRAMS) or self.kind in REAL

    async def job(self, text: str, max_tokens: int, **fields: Any) -> Job:
        messages = [Message("user", text)]
        constrained = fields.get("schema") is not None
        length = await self.engine.prompt_tokens(messages, constrained=constrained)
        return Job(messages, length or 0, max_tokens, **fields)

    async def ask(self, text: str, max_tokens: int = 8, **fields: Any) -> Completion:
        return await self.engine.complete(await self.job(text, max_tokens, **fields))

    async def running(self) -> int | None:
        """Sequences in the engine now, by its own word; None when nobody tells."""
        if self._behind is None:
            return None
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as client:
            if (state := await client.get(self._behind + "/stand_in/state")).is_success:
                return int(state.json()["running"])
            if (ready := await client.get(self._behind + "/ready")).is_success and ready.text:
                return int(ready.json()["models"][0]["running"])
            page = (await client.get(self._behind + "/metrics")).text
        for line in page.splitlines():
            if line.startswith(("vllm:num_requests_running", "sglang:num_running_reqs")):
                return int(float(line.split()[-1]))
        return None


async def until(condition: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def opened(
    tmp_path_factory: pytest.TempPathFactory,
    folder: Path,
    model: Callable[..., dict[str, Any]],
    serve: Callable[..., AbstractContextManager[Any]],
) -> Iterator[Callable[..., Any]]:
    """Opens an engine of a kind for an `async with` block; it takes settings, and modes of the stand-in."""

    @asynccontextmanager
    async def run(kind: str, modes: str = "", **settings: Any) -> AsyncIterator[Loaded]:
        place = tmp_path_factory.mktemp(kind)
        fields: dict[str, Any] = {"model_id": "random", "max_model_len": LIMIT, "max_model_concurrency": 8}
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        with ExitStack() as stack:
            if kind == "openai":
                server = Attachable(place, modes or "no_tokenize")
                stack.callback(server.end)
                fields |= {"url": f"{server.url}/v1"}
            elif kind == "openai on gpu_server":
                running = stack.enter_context(serve(models=[model()]))
                fields |= {"url": f"{running.url}/v1", "api_key_variable": KEY_VARIABLE}
            else:
                fields |= {"path": folder}
            name = kind.partition(" ")[0]
            if name in _PROGRAMS:
                command, flags = REAL.get(name, (STAND_IN, ["--stand-in", modes]))
                fields |= {"engine_command": command, "engine_args": flags, "dtype": "f32"}
            entry = ModelSettings(engine=name, **{**fields, **settings})  # type: ignore[arg-type]
            engine = ENGINES[name](entry, log=place / "engine.log")
            try:
                await engine.load()
                pids = [
                    child.pid
                    for child in psutil.Process().children(recursive=True)
                    if child.pid not in before
                ]
                behind = getattr(getattr(engine, "_server", None), "url", None)
                yield Loaded(kind, engine, pids, behind)
            finally:
                await engine.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield run
