"""`POST /v1/chat/completions`: from a checked request to an answer, whole or as a stream.

The work on a request ends when its caller leaves: it is cancelled wherever it is, in the queue or in the engine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import uuid
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpu_server import errors
from gpu_server.api.openai_types import ChatRequest, ChunkWriter, completion_body, parse_chat_request
from gpu_server.engines.base import EngineError, Job, Piece, PromptRefused, SchemaRefused, Usage
from gpu_server.serving.admission import QueueFull
from gpu_server.serving.metrics import Metrics
from gpu_server.serving.served_models import ServedModel, ServedModels

logger = logging.getLogger(__name__)
requests_log = logging.getLogger("gpu_server.requests")

T = TypeVar("T")
MAX_RETRY_AFTER_S = 30
WRITE_TIMEOUT_S = 60.0


class CallerLeft(Exception):
    """The connection closed, or stood still, before the answer was whole."""


class ChatEndpoint:
    """Answers chat requests.

    Args:
        models: The models to choose from.
        metrics: Told of the times of every completed request.
    """

    def __init__(self, models: ServedModels, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    async def __call__(self, request: Request) -> Response:
        """Serve one request."""
        asked = parse_chat_request(await request.body())
        model = self._models.get(asked.model)
        request.scope["state"]["model"] = asked.model
        return _ChatResponse(self._metrics, model, asked, request.scope["state"]["request_id"])


class _ChatResponse(Response):
    """One chat request at work; an ASGI response because a stream writes as it goes."""

    def __init__(self, metrics: Metrics, model: ServedModel, asked: ChatRequest, request_id: str) -> None:
        super().__init__()
        self._metrics = metrics
        self._model = model
        self._asked = asked
        self._request_id = request_id
        self._answer_id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._started = time.monotonic()
        self._queued_s = 0.0
        self._first_token_s = 0.0
        self._status = 499
        self._finish: str | None = None
        self._usage: Usage | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work and write the answer, unless the caller leaves first."""
        answer = self._stream(send) if self._asked.stream else self._whole(scope, receive, send)
        try:
            await _unless_caller_leaves(receive, answer)
        except CallerLeft:
            self._status = 499
            scope["state"]["left"] = True
        except errors.ApiError as error:
            self._status = error.status
            raise
        finally:
            self._log()

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        model, asked = self._model, self._asked
        try:
            job = await _job(model, asked)
            async with model.admission.place():
                self._queued_s = time.monotonic() - self._started
                done = await model.engine.complete(job)
        except Exception as error:
            raise _as_api_error(error, model) from error
        self._first_token_s = self._queued_s + done.first_token_s
        self._ended(done.finish, done.usage)
        body = completion_body(
            self._answer_id, asked.model, self._created, done.text, done.reasoning, done.finish, done.usage
        )
        self._status = 200
        answer = Response(json.dumps(body, ensure_ascii=False).encode(), media_type="application/json")
        await answer(scope, receive, send)

    async def _stream(self, send: Send) -> None:
        model, asked = self._model, self._asked
        include_usage = asked.stream_options is not None and asked.stream_options.include_usage
        writer = ChunkWriter(self._answer_id, asked.model, self._created, include_usage=include_usage)
        begun = False
        try:
            job = await _job(model, asked)
            async with model.admission.place():
                self._queued_s = time.monotonic() - self._started
                async with aclosing(model.engine.stream(job)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            self._first_token_s = time.monotonic() - self._started
                            await _begin_stream(send)
                            await _write(send, writer.delta({"role": "assistant", "content": ""}))
                            self._status, begun = 200, True
                        await _write(send, self._chunks(writer, piece))
        except CallerLeft:
            raise
        except Exception as error:
            failure = _as_api_error(error, model)
            if not begun:
                raise failure from error
            # 200 is sent already; OpenAI's clients raise on an event of this form.
            self._status = failure.status
            await _write(send, f"data: {json.dumps(failure.body())}\n\n".encode(), more=False)
            return
        if include_usage and self._usage is not None:
            await _write(send, writer.usage(self._usage))
        await _write(send, b"data: [DONE]\n\n", more=False)

    def _chunks(self, writer: ChunkWriter, piece: Piece) -> bytes:
        chunks = b""
        if piece.reasoning:
            chunks += writer.delta({"reasoning_content": piece.reasoning})
        if piece.text:
            chunks += writer.delta({"content": piece.text})
        if piece.finish is not None and piece.usage is not None:
            self._ended(piece.finish, piece.usage)
            chunks += writer.delta({}, piece.finish)
        return chunks

    def _ended(self, finish: str, usage: Usage) -> None:
        self._finish, self._usage = finish, usage
        self._metrics.timed(
            self._asked.model,
            total_s=time.monotonic() - self._started,
            first_token_s=self._first_token_s,
            queued_s=self._queued_s,
        )

    def _log(self) -> None:
        requests_log.info(
            "request",
            extra={
                "fields": {
                    "id": self._request_id,
                    "model": self._asked.model,
                    "status": self._status,
                    "stream": bool(self._asked.stream),
                    "finish": self._finish,
                    "prompt_tokens": self._usage.prompt_tokens if self._usage else None,
                    "completion_tokens": self._usage.completion_tokens if self._usage else None,
                    "queue_ms": round(self._queued_s * 1000, 1),
                    "first_token_ms": round(self._first_token_s * 1000, 1),
                    "ms": round((time.monotonic() - self._started) * 1000, 1),
                }
            },
        )


async def _job(model: ServedModel, asked: ChatRequest) -> Job:
    """Check the request against the model's limits.

    Raises:
        ApiError: 400, with the numbers.
    """
    if asked.seed is not None and not model.engine.seeds and asked.temperature != 0:
        raise errors.unsupported(
            "seed", "this model's engine cannot seed its sampling; leave it out, or set temperature to 0."
        )
    schema = asked.schema_wanted
    messages = [message.plain() for message in asked.messages]
    prompt_tokens = await model.engine.prompt_tokens(messages, constrained=schema is not None)
    room = model.settings.max_model_len - prompt_tokens
    wanted = asked.max_tokens_wanted
    if room < (wanted or 1):
        raise errors.context_length_exceeded(prompt_tokens, wanted, model.settings.max_model_len)
    return Job(
        messages=messages,
        prompt_tokens=prompt_tokens,
        max_tokens=wanted or room,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        stop=asked.stops,
        ignore_eos=asked.ignore_eos,
        schema=schema,
    )


def _as_api_error(error: Exception, model: ServedModel) -> errors.ApiError:
    match error:
        case errors.ApiError():
            return error
        case QueueFull():
            retry_after_s = min(max(1, math.ceil(model.admission.wait_s)), MAX_RETRY_AFTER_S)
            return errors.queue_full(model.settings.model_id, error.waiting, retry_after_s)
        case PromptRefused():
            return errors.bad_request(f"messages: {error}.", param="messages")
        case SchemaRefused():
            return errors.schema_refused(str(error))
        case EngineError():
            logger.error("model %s: %s", model.settings.model_id, error)
            return errors.engine_failed(model.settings.model_id)
    raise error


async def _unless_caller_leaves(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it, and wait for its end, when the connection closes.

    Raises:
        CallerLeft: It closed first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_caller_leaves(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
            raise CallerLeft
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()


async def _caller_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _begin_stream(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(send: Send, data: bytes, *, more: bool = True) -> None:
    """Write one part of a stream.

    Raises:
        CallerLeft: Nobody has taken the parts before it for `WRITE_TIMEOUT_S`. No place is kept for that.
    """
    if not data and more:
        return
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await send({"type": "http.response.body", "body": data, "more_body": more})
    except TimeoutError:
        raise CallerLeft from None
