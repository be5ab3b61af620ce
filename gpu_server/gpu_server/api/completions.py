"""`POST /v1/completions`: raw text, gone on from where it ends; no chat template is applied."""

from __future__ import annotations

import time
import uuid
from typing import Any

from starlette.types import Send

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.completions_answer import CompletionsChunks, completions_body
from gpu_server.api.completions_request import DEFAULT_MAX_TOKENS, CompletionsRequest
from gpu_server.api.generating_endpoint import GeneratingEndpoint
from gpu_server.api.generation import (
    Order,
    answer_whole,
    api_errors,
    caller_of,
    check_abilities,
    room,
)
from gpu_server.api.text_stream import stream_answers
from gpu_server.engines.base import Job
from gpu_server.serving.served_model import ServedModel


class CompletionsEndpoint(GeneratingEndpoint[CompletionsRequest]):
    """Answers requests for raw text."""

    form = CompletionsRequest

    async def _whole(self, asked: CompletionsRequest, record: RequestRecord) -> dict[str, Any]:
        order = await self._order(asked, record)
        answers = await answer_whole(order)
        usage = order.ended([(answer.finish, answer.usage) for answer in answers])
        return completions_body(_head(asked), answers, usage, logprobs=asked.logprobs is not None)

    async def _stream(self, asked: CompletionsRequest, record: RequestRecord, send: Send) -> None:
        order = await self._order(asked, record)
        chunks = CompletionsChunks(_head(asked), include_usage=asked.include_usage)
        await stream_answers(order, chunks, send, include_usage=asked.include_usage)

    async def _order(self, asked: CompletionsRequest, record: RequestRecord) -> Order:
        """Check the request against the model's limits and abilities.

        Raises:
            ApiError: 400 with the numbers, 404 or 503.
        """
        model = self._backing.models.get(asked.model)
        record.model = asked.model
        if not model.engine.abilities.completions:
            raise errors.not_able(asked.model, "/v1/completions; see its abilities in /v1/models")
        check_abilities(model, asked, asked.logprobs)
        jobs: list[Job] = []
        for prompt in asked.prompts:
            jobs += [await _job(model, asked, prompt)] * asked.choices
        record.batch = record.batch or asked.service_tier == "flex"
        caller = caller_of(record, asked.user)
        return Order(model, jobs, len(asked.prompts), caller, record.batch, record)


async def _job(model: ServedModel, asked: CompletionsRequest, prompt: str) -> Job:
    with api_errors(model):
        prompt_tokens = await model.engine.text_tokens(prompt)
    most = room(model, prompt_tokens, asked.max_tokens, "prompt")
    return Job(
        messages=(),
        prompt=prompt,
        prompt_tokens=prompt_tokens or 0,
        max_tokens=asked.max_tokens or min(most, DEFAULT_MAX_TOKENS),
        logprobs=asked.logprobs,
        **asked.sampling,
    )


def _head(asked: CompletionsRequest) -> dict[str, Any]:
    return {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
