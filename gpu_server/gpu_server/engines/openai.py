"""Any server with OpenAI's routes that somebody else runs: Ollama, LM Studio, llama.cpp, vLLM, another gpu_server.

Nothing is believed of it: that it has the model, obeys schemas, reads a prompt of `max_model_len` to its end, and
which parameters it knows, is tried when it is attached. What a server read of one prompt it tells only afterwards,
and in tokens: where it has no tokenize route, a prompt beyond its context is found out when it was cut to fewer
tokens than the prompt has words, or when prompt and answer exceed `max_model_len`.
"""

from __future__ import annotations

import os
from pathlib import Path

from gpu_server.engines.base import LoadError
from gpu_server.engines.remote.dialect import Dialect
from gpu_server.engines.remote.engine import RemoteEngine
from gpu_server.engines.remote.servers import AttachedServer
from gpu_server.settings import ModelSettings


class OpenAIEngine(RemoteEngine):
    """One model of a server that we do not run.

    Args:
        settings: `url` is its address, `api_key_variable` names the environment variable with its key.
        log: Not used: that server keeps its own.
    """

    def __init__(self, settings: ModelSettings, *, log: Path | None = None) -> None:
        del log
        url = (settings.url or "").rstrip("/").removesuffix("/v1")
        variable = settings.api_key_variable
        super().__init__(
            settings, AttachedServer(url, os.environ.get(variable) if variable else None), Dialect()
        )

    async def load(self) -> None:
        """Attach, and try what must hold. See `Engine`."""
        settings = self._settings
        if not settings.url:
            raise LoadError(
                f'{settings.model_id}: the engine "openai" needs "url", for example http://127.0.0.1:11434/v1'
            )
        if settings.api_key_variable and not os.environ.get(settings.api_key_variable):
            raise LoadError(
                f"{settings.model_id}: the environment variable {settings.api_key_variable} is not set"
            )
        await super().load()
