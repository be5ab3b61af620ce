"""`POST /v1/embeddings`: a vector for each text."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.asked import Caller, ModelId, Tier
from gpu_server.api.caller import Answering, write_json
from gpu_server.api.generation import Backing, api_errors, caller_of
from gpu_server.api.reading import RequestBody, read
from gpu_server.engines.base import Embeddings

MAX_TEXTS = 2048
Text = Annotated[str, Field(min_length=1)]


class EmbeddingsRequest(RequestBody):
    """`POST /v1/embeddings`."""

    only_harmless: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    model: ModelId
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]
    encoding_format: Literal["float", "base64"] | None = None
    user: Caller | None = None
    service_tier: Tier | None = None
    dimensions: None = None

    @property
    def texts(self) -> Sequence[str]:
        """All texts, in order."""
        return (self.input,) if isinstance(self.input, str) else self.input


class EmbeddingsEndpoint:
    """Answers requests for vectors.

    Args:
        backing: The models.
    """

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    async def __call__(self, request: Request) -> Response:
        """Serve one request."""
        record: RequestRecord = request.scope["state"]["record"]
        body = await request.body()

        async def work(send: Send) -> None:
            await write_json(send, await self.answer(body, record))

        return Answering(record, work)

    async def answer(self, body: bytes, record: RequestRecord) -> dict[str, Any]:
        """Return the whole answer.

        Raises:
            ApiError: What went wrong.
        """
        asked = read(body, EmbeddingsRequest)
        model = self._backing.models.get(asked.model)
        record.model = asked.model
        record.batch = record.batch or asked.service_tier == "flex"
        if not model.engine.abilities.embeddings:
            raise errors.not_able(asked.model, "/v1/embeddings; see its abilities in /v1/models")

        def work() -> Coroutine[Any, Any, Embeddings]:
            if record.queued_s is None:
                record.queued_s = record.elapsed_s
            return model.engine.embed(asked.texts)

        with api_errors(model):
            done = await model.admission.run(work, caller_of(record, asked.user), batch=record.batch)
        record.finish, record.prompt_tokens = "stop", done.prompt_tokens
        return _body(asked, done)


def _body(asked: EmbeddingsRequest, done: Embeddings) -> dict[str, Any]:
    encoded = asked.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if encoded else list(vector)}
        for index, vector in enumerate(done.vectors)
    ]
    usage = {"prompt_tokens": done.prompt_tokens, "total_tokens": done.prompt_tokens}
    return {"object": "list", "data": data, "model": asked.model, "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    """Return it as 32-bit little-endian floats in base64."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
