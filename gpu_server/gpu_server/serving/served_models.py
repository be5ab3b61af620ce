"""The models of this server: loaded one after another, in the order of the configuration, then each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from gpu_server import errors
from gpu_server.serving.served_model import MakeEngine, Prepare, ServedModel
from gpu_server.settings import ModelSettings


class ServedModels:
    """All models.

    Args:
        settings: One entry a model.
        make_engine: Makes an engine of an entry, without loading it.
        prepare: Gets what an engine needs before it is loaded.
    """

    def __init__(
        self, settings: Sequence[ModelSettings], make_engine: MakeEngine, prepare: Prepare | None = None
    ) -> None:
        loading = asyncio.Lock()
        self._models = {
            each.model_id: ServedModel(each, make_engine, prepare=prepare, loading=loading)
            for each in settings
        }
        self._supervising: list[asyncio.Task[None]] = []

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def ready(self) -> bool:
        """Whether every model answers."""
        return all(model.answers for model in self)

    @property
    def failed(self) -> bool:
        """Whether none will ever answer."""
        return all(model.state == "failed" for model in self)

    @property
    def unfit_host(self) -> bool:
        """Whether one can never answer on this machine, but may on another."""
        return any(model.unfit_host for model in self)

    @property
    def in_flight(self) -> int:
        """Requests in the engines and in the queues."""
        return sum(model.admission.running + model.admission.waiting for model in self)

    async def load(self) -> None:
        """Load one after another, so that each finds the memory that the ones before it left.

        Their files come at the same time. Ends early on a machine that is unfit.
        """
        preparing = [(model, asyncio.create_task(model.prepare())) for model in self]
        try:
            for model, prepared in preparing:
                await prepared
                if self.unfit_host:
                    return
                await model.load()
                if model.answers:
                    self._supervising.append(asyncio.create_task(model.supervise()))
        finally:
            for _, prepared in preparing:
                prepared.cancel()
            await asyncio.gather(*(prepared for _, prepared in preparing), return_exceptions=True)

    async def close(self) -> None:
        """End the supervision, then close every engine."""
        for task in self._supervising:
            task.cancel()
        if self._supervising:
            await asyncio.wait(self._supervising)
        await asyncio.gather(*(model.close() for model in self))

    def get(self, model_id: str) -> ServedModel:
        """Return a model that answers now.

        Raises:
            ApiError: 404 when it is not served, 503 when it is not ready.
        """
        model = self._models.get(model_id)
        if model is None:
            raise errors.model_not_found(model_id, self._models)
        if not model.answers:
            raise model.not_ready()
        return model
