"""An engine that follows a script, and the real application around it, without sockets or processes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from gpu_server.access.watchdog import Watchdog
from gpu_server.api.app import make_app
from gpu_server.engines.base import (
    Abilities,
    Completion,
    Embeddings,
    EngineCounters,
    Job,
    Message,
    Piece,
    Tool,
    Usage,
)
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ModelSettings, ServerSettings

TOKEN = "a-good-token"


class ScriptedEngine:
    """Answers "one two three"; counts a prompt token a word; waits at `gate` when there is one."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.abilities = Abilities()
        self.counters = EngineCounters()
        self.jobs: list[Job] = []
        self.raises: Exception | None = None
        self.counts = True
        self.says: Callable[[Job], Completion] | None = None
        self.streams: Callable[[Job], Iterable[Piece | None]] | None = None
        # None is a moment in which nothing is ready
        self.load_raises: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.cancelled = 0
        self.closed = False

    async def load(self) -> None:
        if self.load_raises:
            raise self.load_raises

    async def lost(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async def answers(self) -> bool:
        return True

    async def prompt_tokens(
        self, messages: Sequence[Message], *, constrained: bool, tools: Sequence[Tool] = ()
    ) -> int | None:
        return sum(len(message.content.split()) for message in messages) if self.counts else None

    async def text_tokens(self, text: str) -> int | None:
        return len(text.split()) if self.counts else None

    async def complete(self, job: Job) -> Completion:
        self.jobs.append(job)
        await self._wait()
        if self.says:
            return self.says(job)
        return Completion("one two three", "stop", Usage(job.prompt_tokens, 3), 0.01)

    async def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        self.jobs.append(job)
        await self._wait()
        if self.streams:
            for piece in self.streams(job):
                if piece is None:
                    await asyncio.sleep(0)
                else:
                    yield piece
            return
        yield Piece("one")
        yield Piece(" two")
        yield Piece(" three", finish="stop", usage=Usage(job.prompt_tokens, 3))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        await self._wait()
        return Embeddings(
            [[float(len(text)), 0.5] for text in texts], sum(len(text.split()) for text in texts)
        )

    async def close(self) -> None:
        self.closed = True

    async def _wait(self) -> None:
        if self.raises:
            raise self.raises
        try:
            if self.gate:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Bench:
    """One application with scripted engines."""

    def __init__(self, limits: dict[str, Any] | None = None, **model: Any) -> None:
        settings = ModelSettings(
            **{"model_id": "m", "max_model_len": 20, "max_model_concurrency": 2, "max_queue": 1, **model}
        )
        self.engine = ScriptedEngine(settings)
        self.models = ServedModels([settings], lambda _: self.engine)
        self.watchdog = Watchdog(idle_timeout_s=None, max_lifetime_s=None)
        server = ServerSettings(models=[settings], **{"max_body_bytes": 2000, **(limits or {})})
        self.app = make_app(self.models, server, token=SecretStr(TOKEN), watchdog=self.watchdog)

    @asynccontextmanager
    async def client(
        self, *, load: bool = True, token: str | None = TOKEN
    ) -> AsyncIterator[httpx.AsyncClient]:
        if load:
            await self.models.load()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app)
        try:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://server", headers=headers
            ) as client:
                yield client
        finally:
            await self.app.close()
            await self.models.close()


@pytest.fixture
def bench() -> type[Bench]:
    return Bench
