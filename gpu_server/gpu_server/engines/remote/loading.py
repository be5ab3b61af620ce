"""From a server that may come up to one that has shown what it must: the whole of loading, under one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_server.engines.base import (
    Abilities,
    EngineError,
    EngineLost,
    LoadError,
    PromptRefused,
    PromptTooLong,
    SchemaRefused,
)
from gpu_server.engines.remote.checks import Checks
from gpu_server.engines.remote.dialect import (
    AttachedTokenizingDialect,
    Dialect,
    LlamaCppDialect,
    TokenizingDialect,
)
from gpu_server.engines.remote.requests import probe
from gpu_server.engines.remote.servers import AttachedServer, Server
from gpu_server.engines.remote.wire import Answered, Wire
from gpu_server.settings import ModelSettings

MAX_FAILURES = 5
_FIRST_PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.2
_SHORT_S = 30.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A server that may get traffic.

    Attributes:
        counts: Whether its tokenize route was found to count as the engine does.
    """

    wire: Wire
    dialect: Dialect
    abilities: Abilities
    counts: bool
    facts: dict[str, str]


class Loading:
    """One loading.

    Args:
        settings: Which model, and how long it may take.
        server: What listens, or will.
        dialect: In what it differs from a plain server.
        answered: Called when it has answered for the first time.
    """

    def __init__(
        self, settings: ModelSettings, server: Server, dialect: Dialect, answered: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._server = server
        self._dialect = dialect
        self._answered = answered
        self._attached = isinstance(server, AttachedServer)
        self._trouble = "it has not listened yet"

    async def run(self) -> Loaded:
        """Wait for the first answer, then check.

        Raises:
            LoadError: It cannot be served; with the end of the server's log.
        """
        await self._server.start()
        wire = Wire(self._server.url, self._server.key)
        gone = asyncio.create_task(self._server.gone())
        trying = asyncio.create_task(self._try(wire))
        try:
            await asyncio.wait(
                (gone, trying),
                timeout=self._settings.startup_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not gone.done() and trying.done():
                return trying.result()
            raise self._failure(gone)  # noqa: TRY301  (caught below to close, not to handle)
        except BaseException:
            await wire.close()
            raise
        finally:
            for task in (gone, trying):
                task.cancel()
            await asyncio.gather(gone, trying, return_exceptions=True)

    def _failure(self, gone: asyncio.Task[str]) -> LoadError:
        if gone.done():
            return LoadError(f"{gone.result()} before it answered{self._log()}")
        return LoadError(
            f"no answer within {self._settings.startup_timeout_s:g} s (startup_timeout_s); at last "
            f"{self._trouble}{self._log()}"
        )

    async def _try(self, wire: Wire) -> Loaded:
        await self._first_answer(wire)
        self._answered()
        try:
            await self._find_model(wire)
            return await self._check(wire)
        except (EngineError, PromptRefused, PromptTooLong, SchemaRefused) as error:
            if isinstance(error, LoadError):
                raise
            if isinstance(error, EngineLost):
                await asyncio.sleep(_LOOK_EVERY_S)  # when the process died, its end is the better reason
            raise LoadError(f"a check of the loaded model failed: {error}{self._log()}") from error

    async def _first_answer(self, wire: Wire) -> None:
        """Try until it generates. A request that hangs is given up and sent again, with more patience."""
        failures, patience_s = 0, _FIRST_PATIENCE_S
        path, body = probe(self._settings)
        while True:
            try:
                await wire.post(path, body, timeout_s=patience_s)
            except Answered as error:
                if error.status < 500 and error.status not in (408, 429):
                    raise await self._refused(wire, error) from error
                failures += error.status == 500
                self._trouble = str(error)
                if failures == MAX_FAILURES:
                    raise LoadError(f"{error}, {failures} times{self._log()}") from error
            except EngineLost as error:
                self._trouble = str(error)
                if isinstance(error.__cause__, TimeoutError):
                    patience_s *= 2
            else:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _refused(self, wire: Wire, error: Answered) -> LoadError:
        if error.status in (401, 403):
            name = self._settings.api_key_variable
            how = f"the key in {name} is not the right one" if name else "set api_key_variable"
            return LoadError(f"{self._server.url} wants a key ({error.status}): {how}")
        with contextlib.suppress(EngineError):
            await self._find_model(wire)
        return LoadError(f"the server refuses the first request: {error}{self._log()}")

    async def _find_model(self, wire: Wire) -> None:
        """Make sure that the server has this model, and does not answer with whichever it has.

        Raises:
            LoadError: It lists others only.
        """
        try:
            listed = json.loads(await wire.get("/v1/models", timeout_s=_SHORT_S))
            ids = [str(card["id"]) for card in listed["data"]]
        except (EngineError, ValueError, LookupError, TypeError):
            return  # it keeps no list
        wanted = self._settings.model_id
        if ids and wanted not in ids and f"{wanted}:latest" not in ids:
            raise LoadError(f"{self._server.url} has no model {wanted!r}. It has: {', '.join(ids[:20])}")

    async def _check(self, wire: Wire) -> Loaded:
        settings, dialect = self._settings, self._dialect
        checks, counts = Checks(settings, wire, dialect), False
        if self._attached:
            await checks.context_whole()
        if settings.task == "generate":
            read = await checks.usage_told()
            for candidate in self._dialects():
                if await Checks(settings, wire, candidate).counts_truly(read):
                    dialect, counts = candidate, True
                    break
            checks = Checks(settings, wire, dialect)
            await checks.schema_obeyed()
        abilities = dialect.abilities(settings)
        if self._attached:
            abilities, dialect.sampling = await checks.found_abilities()
        facts = {"engine_url": self._server.url} if self._attached else {}
        if version := await dialect.version(wire):
            facts["engine_version"] = version
        return Loaded(wire, dialect, abilities, counts, facts)

    def _dialects(self) -> Sequence[Dialect]:
        """Return the ways of counting to try: of a server that somebody else runs nothing is known."""
        if self._attached:
            return (AttachedTokenizingDialect(), LlamaCppDialect())
        return (self._dialect,) if isinstance(self._dialect, TokenizingDialect) else ()

    def _log(self) -> str:
        lines = self._server.last_lines()
        return f". The end of its log:\n{lines}" if lines else ""
