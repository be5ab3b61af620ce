"""`POST /v1/chat/completions`: from a checked request to an answer, whole or as a stream."""

from __future__ import annotations

import time
import uuid
from typing import Any

from starlette.types import Send

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.chat_answer import ChatChunks, chat_body
from gpu_server.api.chat_request import ChatRequest
from gpu_server.api.generating_endpoint import GeneratingEndpoint
from gpu_server.api.generation import (
    Order,
    answer_whole,
    api_errors,
    caller_of,
    check_abilities,
    check_schema,
    room,
)
from gpu_server.api.text_stream import stream_answers
from gpu_server.engines.base import Job


class ChatEndpoint(GeneratingEndpoint[ChatRequest]):
    """Answers chat requests."""

    form = ChatRequest

    async def _whole(self, asked: ChatRequest, record: RequestRecord) -> dict[str, Any]:
        order = await self._order(asked, record)
        answers = await answer_whole(order)
        usage = order.ended([(answer.finish, answer.usage) for answer in answers])
        return chat_body(
            _head(asked), answers, usage, logprobs=bool(asked.logprobs), calls_kept=asked.calls_kept
        )

    async def _stream(self, asked: ChatRequest, record: RequestRecord, send: Send) -> None:
        order = await self._order(asked, record)
        chunks = ChatChunks(_head(asked), include_usage=asked.include_usage, calls_kept=asked.calls_kept)
        await stream_answers(order, chunks, send, include_usage=asked.include_usage)

    async def _order(self, asked: ChatRequest, record: RequestRecord) -> Order:
        """Check the request against the model's limits and abilities.

        Raises:
            ApiError: 400 with the numbers, 404 or 503.
        """
        model = self._backing.models.get(asked.model)
        record.model = asked.model
        if not model.engine.abilities.generate:
            raise errors.not_able(asked.model, "chat; it may be for /v1/embeddings")
        tools, schema = asked.tools_offered, asked.schema_wanted
        check_abilities(model, asked, asked.logprobs_wanted, tools)
        await check_schema(self._backing, model, schema, tools)
        messages = [message.plain() for message in asked.messages]
        with api_errors(model):
            prompt_tokens = await model.engine.prompt_tokens(
                messages,
                constrained=schema is not None or asked.tool_chosen not in ("auto", "none"),
                tools=tools if asked.tool_chosen != "none" else (),
            )
        job = Job(
            messages=messages,
            prompt_tokens=prompt_tokens or 0,
            max_tokens=room(model, prompt_tokens, asked.max_tokens_wanted, "messages"),
            schema=schema,
            tools=tools,
            tool_choice=asked.tool_chosen,
            logprobs=asked.logprobs_wanted,
            **asked.sampling,
        )
        record.batch = record.batch or asked.service_tier == "flex"
        return Order(model, [job] * asked.choices, 1, caller_of(record, asked.user), record.batch, record)


def _head(asked: ChatRequest) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": asked.model,
    }
    return head if asked.tier_served is None else {**head, "service_tier": asked.tier_served}
