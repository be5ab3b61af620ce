"""The models of this server: each with its settings, its engine, its queue, and the state it is in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from gpu_server import errors
from gpu_server.engines.base import Engine, LoadError
from gpu_server.serving.admission import Admission
from gpu_server.settings import ModelSettings

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "failed"]
RETRY_STARTING_S = 2
RETRY_FAILED_S = 60


class ServedModel:
    """One model. `state` goes from starting to ready or failed, and stays there."""

    def __init__(self, settings: ModelSettings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.state: State = "starting"
        self.reason: str | None = None
        self.created = int(time.time())
        self.admission = Admission(
            concurrency=settings.max_model_concurrency,
            max_queue=settings.max_queue,
            window_s=settings.model_batch_execute_timeout_ms / 1000,
        )

    async def load(self) -> None:
        """Load the engine; a failure becomes the state and its reason, never an exception."""
        started = time.monotonic()
        try:
            await self.engine.load()
        except LoadError as error:
            self.state, self.reason = "failed", str(error)
        except Exception as error:
            logger.exception("model %s: loading broke", self.settings.model_id)
            self.state, self.reason = "failed", f"{type(error).__name__}: {error}"
        else:
            self.state = "ready"
        if self.state == "ready":
            logger.info("model %s ready after %.2f s", self.settings.model_id, time.monotonic() - started)
        else:
            logger.error("model %s failed to load: %s", self.settings.model_id, self.reason)

    def describe(self) -> dict[str, Any]:
        """Return what `/ready` says of this model, the effective settings included."""
        shown = self.settings.model_dump(mode="json", exclude={"model_id", "path"})
        return {
            "model_id": self.settings.model_id,
            "state": self.state,
            "reason": self.reason,
            "running": self.admission.running,
            "waiting": self.admission.waiting,
            "settings": shown | self.engine.counters.facts,
        }


class ServedModels:
    """All models, in the order of the configuration.

    Args:
        settings: One entry a model.
        make_engine: Makes the engine of an entry, without loading it.
    """

    def __init__(
        self, settings: Sequence[ModelSettings], make_engine: Callable[[ModelSettings], Engine]
    ) -> None:
        self._models = {each.model_id: ServedModel(each, make_engine(each)) for each in settings}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def ready(self) -> bool:
        """Whether every model answers."""
        return all(model.state == "ready" for model in self)

    @property
    def failed(self) -> bool:
        """Whether none will ever answer."""
        return all(model.state == "failed" for model in self)

    async def load(self) -> None:
        """Load one after the other, so that each finds the memory that the ones before it left."""
        for model in self:
            await model.load()

    async def close(self) -> None:
        """Close every engine."""
        for model in self:
            await model.engine.close()

    def get(self, model_id: str) -> ServedModel:
        """Return a model that answers now.

        Raises:
            ApiError: 404 when it is not served, 503 when it is not ready.
        """
        model = self._models.get(model_id)
        if model is None:
            raise errors.model_not_found(model_id, self._models)
        if model.state != "ready":
            retry_after_s = RETRY_STARTING_S if model.state == "starting" else RETRY_FAILED_S
            raise errors.model_not_ready(model_id, model.state, model.reason, retry_after_s)
        return model
