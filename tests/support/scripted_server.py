"""The whole server of a replica on a real socket, in a thread, with an engine that follows a script."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import uvicorn
from pydantic import SecretStr

from gpu_server.access.connection import Connections
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
from gpu_server.server import bind, quickest_loop
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ModelSettings, ServerSettings

TOKEN = "scripted-token"


class ScriptedEngine:
    """Answers `word` as often as it is allowed tokens, with a pause before each."""

    word, pause_s = "word ", 0.001

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.abilities = Abilities(completions=True)
        self.counters = EngineCounters()
        self.running = 0
        self.fails: Exception | None = None

    async def load(self) -> None:
        pass

    async def lost(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async def answers(self) -> bool:
        return True

    async def prompt_tokens(
        self, messages: Sequence[Message], *, constrained: bool, tools: Sequence[Tool] = ()
    ) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def text_tokens(self, text: str) -> int:
        return len(text.split())

    async def complete(self, job: Job) -> Completion:
        text = "".join([piece.text async for piece in self.stream(job)])
        return Completion(text, "length", Usage(job.prompt_tokens, job.max_tokens), self.pause_s)

    async def stream(self, job: Job) -> AsyncGenerator[Piece, None]:
        self.running += 1
        try:
            for number in range(job.max_tokens):
                await asyncio.sleep(self.pause_s)
                if self.fails is not None and number:
                    raise self.fails
                self.counters.completion_tokens += 1
                self.counters.steps += 1
                if number + 1 < job.max_tokens:
                    yield Piece(self.word)
            self.counters.prompt_tokens += job.prompt_tokens
            yield Piece(self.word, finish="length", usage=Usage(job.prompt_tokens, job.max_tokens))
        finally:
            self.running -= 1

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class ScriptedServer:
    """What runs: its address, its engine, its connections."""

    def __init__(self, settings: ServerSettings, tls: ssl.SSLContext | None, tokens: str) -> None:
        self.engines: list[ScriptedEngine] = []
        self.settings = settings
        self.connections = Connections(settings)
        self.draining = False
        self._listener = bind("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._tls, self._tokens = tls, tokens
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted-server")

    @property
    def engine(self) -> ScriptedEngine:
        return self.engines[-1]

    def _make(self, settings: ModelSettings, **_: Any) -> ScriptedEngine:
        self.engines.append(ScriptedEngine(settings))
        return self.engines[-1]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=quickest_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        models = ServedModels(self.settings.models, self._make)
        app = make_app(
            models,
            self.settings,
            token=SecretStr(self._tokens),
            watchdog=Watchdog(idle_timeout_s=None, max_lifetime_s=None),
            connections=self.connections,
            draining=lambda: self.draining,
        )
        config = uvicorn.Config(
            app,
            http=self.connections.protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_context_factory=None if self._tls is None else lambda *_: self._tls,
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        await models.load()
        self._up.set()
        await serving
        await app.close()
        await models.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()


@contextmanager
def scripted_server(
    tls: ssl.SSLContext | None = None, tokens: str = TOKEN, **settings: Any
) -> Iterator[ScriptedServer]:
    """Runs one for as long as the block."""
    models = settings.pop("models", None) or [
        ModelSettings(model_id="m", max_model_len=100_000, max_model_concurrency=32)
    ]
    with ScriptedServer(ServerSettings(models=models, **settings), tls, tokens) as server:
        yield server
