"""One model: its files, its engine, the state that it is in, and the replacement of an engine that is lost.

    starting ─► ready ⇄ busy
       ▲          └───┬───┘
       └──── lost ◄───┘          failed: the first engine could not be loaded; it will not come back by itself

A lost engine is closed and a new one is made, after a pause that doubles while losses go on. Requests that were in
the lost engine get its error; those that wait for a place are refused at once, so that they can go elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Literal

from gpu_server import errors
from gpu_server.engines.base import Engine, LoadError, UnfitHost
from gpu_server.serving.admission import Admission
from gpu_server.serving.back_off import BackOff
from gpu_server.serving.liveness import Liveness
from gpu_server.settings import ModelSettings
from gpu_server.weights.base import Progress

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "busy", "failed"]
MakeEngine = Callable[[ModelSettings], Engine]
Prepare = Callable[[ModelSettings, Progress], Awaitable[ModelSettings]]
"""Gets what the engine needs, and returns the settings to make it with; raises `LoadError`."""

RETRY_STARTING_S = 2
RETRY_FAILED_S = 60
CLOSE_S = 20.0
SETTLE_S = 0.25  # in which the embedded engine has read a prompt of usual length
MAX_REASON_CHARS = 400
_LOAD_GRACE_S = 30.0  # engines keep their own time; this is for one that does not


class ServedModel:
    """One model and whoever serves it.

    Args:
        settings: What is served.
        make_engine: Makes an engine without loading it.
        prepare: Called once before the first engine is loaded; None when nothing is to be done.
        loading: Held while an engine loads: each finds the memory that the ones before it left.
        back_off: Pauses between engines that are lost.
    """

    def __init__(
        self,
        settings: ModelSettings,
        make_engine: MakeEngine,
        *,
        prepare: Prepare | None = None,
        loading: asyncio.Lock | None = None,
        back_off: BackOff | None = None,
    ) -> None:
        self.settings = settings
        self.engine = make_engine(settings)
        self.state: State = "starting"
        self.reason: str | None = None
        self.unfit_host = False
        self.restarts = 0
        self.created = int(time.time())
        self.admission = Admission(
            concurrency=settings.max_model_concurrency,
            max_queue=settings.max_queue,
            batch_share=_batch_share(settings),
            settle_s=SETTLE_S if settings.engine == "mistralrs" else 0.0,
            window_s=settings.model_batch_execute_timeout_ms / 1000,
        )
        self._make_engine = make_engine
        self._prepare = prepare
        self._prepared = settings
        self._stage: Literal["download", "load"] = "download"
        self._download = Progress()
        self._loading = loading or asyncio.Lock()
        self._back_off = back_off or BackOff()
        self._progress_before = 0
        self._ready_at = 0.0
        self._load_s = 0.0
        self._next_at: float | None = None

    @property
    def answers(self) -> bool:
        """Whether it takes requests now."""
        return self.state in ("ready", "busy")

    @property
    def progress(self) -> int:
        """What all its engines have got done; only grows."""
        return self._progress_before + _done(self.engine)

    async def prepare(self) -> None:
        """Get what the engine needs; a failure becomes the state and its reason, never an exception."""
        if self._prepare is None:
            return
        self._download = Progress()  # its time begins now
        try:
            self._prepared = await self._prepare(self.settings, self._download)
        except LoadError as error:
            self.unfit_host = isinstance(error, UnfitHost)
            self._fail(_bounded(str(error)))
        except Exception as error:
            logger.exception("model %s: its preparation broke", self.settings.model_id)
            self._fail(_bounded(f"{type(error).__name__}: {error}"))
        else:
            if self._prepared != self.settings:
                self.engine = self._make_engine(self._prepared)

    async def load(self) -> None:
        """Load the first engine, if it is prepared; a failure becomes the state and its reason."""
        if self.state == "failed":
            return
        async with self._loading:
            failure = await self._load(self.engine)
        if failure is None:
            self._serves()
        else:
            self._fail(failure)
            await self._close(self.engine)

    async def supervise(self) -> None:
        """Replace the engine each time that it is lost. Runs until it is cancelled."""
        while True:
            why = await self._until_lost()
            logger.error("model %s lost its engine: %s", self.settings.model_id, why)
            self.state, self.reason = "starting", f"the engine was lost: {why}"
            self.admission.close(self.not_ready)
            await self._close(self.engine)
            await self._replace(time.monotonic() - self._ready_at)

    async def close(self) -> None:
        """Close the engine."""
        await self._close(self.engine)

    def not_ready(self) -> errors.ApiError:
        """Return what a caller is told while there is no engine."""
        return errors.model_not_ready(self.settings.model_id, self.state, self.reason, self._retry_after_s())

    def describe(self) -> dict[str, Any]:
        """Return what `/ready` says of this model, the effective settings included."""
        shown = self.settings.model_dump(mode="json", exclude={"model_id", "path"})
        return {
            "model_id": self.settings.model_id,
            "state": self.state,
            "reason": self.reason,
            "loading": self._told_loading() if self.state == "starting" else None,
            "running": self.admission.running,
            "waiting": self.admission.waiting,
            "progress": self.progress,
            "restarts": self.restarts,
            "engine": self.settings.engine,
            "abilities": asdict(self.engine.abilities) if self.answers else {},
            "settings": shown | self.engine.counters.facts,
        }

    def _told_loading(self) -> dict[str, Any]:
        """Return how far it is; the bytes are those of the download."""
        return {
            "stage": "warm" if self.engine.counters.warming else self._stage,
            "done_bytes": self._download.done_bytes,
            "total_bytes": self._download.total_bytes,
        }

    def _fail(self, failure: str) -> None:
        self.state, self.reason = "failed", failure
        logger.error("model %s failed to load: %s", self.settings.model_id, failure)

    async def _load(self, engine: Engine) -> str | None:
        """Load an engine, and return why that failed."""
        self._stage = "load"
        began = time.monotonic()
        limit_s = self.settings.startup_timeout_s + _LOAD_GRACE_S
        try:
            async with asyncio.timeout(limit_s):
                await engine.load()
        except LoadError as error:
            return _bounded(str(error))
        except TimeoutError:
            stated_s = self.settings.startup_timeout_s
            return f"loading did not end within {limit_s:g} s (startup_timeout_s={stated_s:g})"
        except Exception as error:
            logger.exception("model %s: loading broke", self.settings.model_id)
            return _bounded(f"{type(error).__name__}: {error}")
        self._load_s = time.monotonic() - began
        return None

    def _serves(self) -> None:
        self.state, self.reason = "ready", None
        self._ready_at, self._next_at = time.monotonic(), None
        self.admission.open()
        logger.info("model %s ready after %.2f s", self.settings.model_id, self._load_s)

    async def _until_lost(self) -> str:
        """Return why the engine is lost; meanwhile tell ready from busy."""
        engine, settings = self.engine, self.settings
        liveness = Liveness(stall_timeout_s=settings.stall_timeout_s)
        lost: asyncio.Future[str] = asyncio.ensure_future(engine.lost())
        asked: asyncio.Future[bool] | None = None
        try:
            while True:
                await asyncio.wait((lost,), timeout=liveness.check_every_s)
                if lost.done():
                    return _bounded(_outcome(lost))
                liveness.note(_done(engine), has_work=self.admission.running > 0)
                if asked is not None and _said_yes(asked):
                    liveness.answered()
                verdict = liveness.verdict(unanswered=asked is not None)
                if verdict == "dead":
                    return (
                        f"it got nothing done for {liveness.silent_s:.1f} s "
                        f"(stall_timeout_s={settings.stall_timeout_s:g}) with {self.admission.running} requests"
                    )
                self._tell(verdict, liveness.silent_s)
                if not liveness.should_be_asked:
                    _forget(asked)
                    asked = None
                elif asked is None or asked.done():
                    _forget(asked)
                    asked = asyncio.ensure_future(engine.answers())
        finally:
            lost.cancel()
            _forget(asked)

    def _tell(self, verdict: Literal["ready", "busy"], silent_s: float) -> None:
        if verdict == self.state:
            return
        self.state = verdict
        self.reason = None if verdict == "ready" else "it has work and does not answer; it may yet"
        logger.warning("model %s is %s (silent for %.1f s)", self.settings.model_id, verdict, silent_s)

    async def _replace(self, served_s: float) -> None:
        while True:
            pause_s = self._back_off.pause_s(served_s)
            self._next_at = time.monotonic() + pause_s
            await asyncio.sleep(pause_s)
            engine = self._make_engine(self._prepared)
            async with self._loading:
                failure = await self._load(engine)
            if failure is None:
                break
            served_s = 0.0
            self.reason = f"a new engine failed to load: {failure}"
            logger.error("model %s: %s", self.settings.model_id, self.reason)
            await self._close(engine)
        self._progress_before += _done(self.engine) + 1
        self.engine = engine
        self.restarts += 1
        self._serves()

    async def _close(self, engine: Engine) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await engine.close()
        except Exception:
            logger.exception("model %s: closing its engine broke", self.settings.model_id)

    def _retry_after_s(self) -> int:
        if self.state == "failed":
            return RETRY_FAILED_S
        if self._next_at is None:
            return RETRY_STARTING_S
        pause_s = max(0.0, self._next_at - time.monotonic())
        return min(RETRY_FAILED_S, max(1, math.ceil(pause_s + self._load_s)))


def _batch_share(settings: ModelSettings) -> int:
    """Return the places that batch rows keep beside interactive requests.

    The embedded engine reads a prompt in one go, and on a processor it advances together only sequences of equal
    length: each row beside an interactive request makes every token of it wait. The others mix the reading of
    prompts with decoding, and lose little by a full batch.
    """
    return 1 if settings.engine == "mistralrs" else max(1, settings.max_model_concurrency * 3 // 4)


def _done(engine: Engine) -> int:
    counters = engine.counters
    return counters.steps + counters.prompt_tokens + counters.completion_tokens


def _outcome(lost: asyncio.Future[str]) -> str:
    error = lost.exception()
    return lost.result() if error is None else f"{type(error).__name__}: {error}"


def _said_yes(asked: asyncio.Future[bool]) -> bool:
    return asked.done() and asked.exception() is None and asked.result()


def _forget(asked: asyncio.Future[bool] | None) -> None:
    if asked is not None and not asked.cancel() and not asked.cancelled():
        asked.exception()  # seen: a check that broke is one that was not answered


def _bounded(text: str) -> str:
    """Make one line of bounded length of what an engine said."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"
