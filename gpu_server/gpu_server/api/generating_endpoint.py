"""What the routes that generate have in common: one request answered whole or as a stream, or a row of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.asked import Asked
from gpu_server.api.caller import Answering, write_json
from gpu_server.api.generation import Backing
from gpu_server.api.reading import read

A = TypeVar("A", bound=Asked)


class GeneratingEndpoint(ABC, Generic[A]):
    """Answers requests of one form.

    Args:
        backing: The models, and the check of schemas.
    """

    form: ClassVar[type[Any]]
    """What a request's body is read as."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    async def __call__(self, request: Request) -> Response:
        """Serve one request."""
        record: RequestRecord = request.scope["state"]["record"]
        asked: A = read(await request.body(), self.form)
        record.stream = bool(asked.stream)

        async def work(send: Send) -> None:
            if asked.stream:
                await self._stream(asked, record, send)
            else:
                await write_json(send, await self._whole(asked, record))

        return Answering(record, work)

    async def answer(self, body: bytes, record: RequestRecord) -> dict[str, Any]:
        """Return the whole answer to a row of a batch.

        Raises:
            ApiError: What went wrong.
        """
        asked: A = read(body, self.form)
        if asked.stream:
            raise errors.unsupported("stream", "the rows of a batch are answered whole.")
        return await self._whole(asked, record)

    @abstractmethod
    async def _whole(self, asked: A, record: RequestRecord) -> dict[str, Any]: ...

    @abstractmethod
    async def _stream(self, asked: A, record: RequestRecord, send: Send) -> None: ...
