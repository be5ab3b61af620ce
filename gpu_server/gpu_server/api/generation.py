"""From a checked request to the engine's answers: limits, schemas, a place in the batch for each choice.

An `Order` is one request as the engines see it: one or several jobs for one model. Each job takes a place of its
own; when one fails, the others are taken out of the batch and the request fails with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from gpu_server import errors
from gpu_server.access.record import RequestRecord
from gpu_server.api.asked import Asked
from gpu_server.engines.base import (
    Completion,
    EngineError,
    EngineLost,
    Job,
    Piece,
    PromptRefused,
    PromptTooLong,
    SchemaRefused,
    Tool,
    Unsupported,
    Usage,
)
from gpu_server.schemas.check import CheckBusy, SchemaCheck
from gpu_server.serving.served_model import ServedModel
from gpu_server.serving.served_models import ServedModels
from gpu_server.serving.turn import QueueFull

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 30
LOST_RETRY_AFTER_S = 2
_PIECES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Backing:
    """What the endpoints stand on."""

    models: ServedModels
    schemas: SchemaCheck


@dataclass(frozen=True, slots=True)
class Order:
    """One request as the engines see it.

    Attributes:
        model: Who answers.
        jobs: One for each answer wanted, in their order.
        prompts: Of how many prompts the jobs are; their tokens count once each.
        caller: Who asks, for fairness.
        batch: Whether it is of the batch class.
        record: Takes the times and the counts.
    """

    model: ServedModel
    jobs: Sequence[Job]
    prompts: int
    caller: str
    batch: bool
    record: RequestRecord

    def ended(self, results: Sequence[tuple[str, Usage]]) -> Usage:
        """Note the end of all answers, and return the usage of the request: a prompt counts once."""
        each = len(self.jobs) // self.prompts
        usage = Usage(
            sum(results[at][1].prompt_tokens for at in range(0, len(results), each)),
            sum(usage.completion_tokens for _, usage in results),
        )
        record = self.record
        record.finish = results[0][0]
        record.prompt_tokens, record.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        return usage


def caller_of(record: RequestRecord, user: str | None) -> str:
    """Return who asks: the header's name, else the body's, else the token's number."""
    return record.caller or user or f"token {record.token_number}"


def check_abilities(
    model: ServedModel, asked: Asked, logprobs: int | None, tools: Sequence[Tool] = ()
) -> None:
    """Refuse what the model's engine cannot do.

    Raises:
        ApiError: 400, naming the parameter.
    """
    able = model.engine.abilities
    if asked.seed is not None and not able.seeds and asked.temperature != 0:
        raise errors.unsupported(
            "seed", "this model's engine cannot seed its sampling; leave it out, or set temperature to 0."
        )
    if tools and not able.tools:
        raise errors.unsupported("tools", "this model is not served with tools.")
    if logprobs is not None and able.logprobs is None:
        raise errors.unsupported("logprobs", "this model's engine reports none.")
    if logprobs is not None and able.logprobs is not None and logprobs > able.logprobs:
        raise errors.unsupported(
            "top_logprobs", f"this model's engine reports at most {able.logprobs} alternatives."
        )


async def check_schema(
    backing: Backing, model: ServedModel, schema: Mapping[str, Any] | None, tools: Sequence[Tool] = ()
) -> None:
    """Return when the grammar can enforce what it is to enforce.

    Raises:
        ApiError: 400, or 503 when the check is overrun.
    """
    # An attached server has a grammar of its own, which may take more than ours, or less.
    compiled = model.settings.engine != "openai"
    try:
        if schema is not None:
            await backing.schemas.check(schema, compiled=compiled)
        for position, tool in enumerate(tools):
            try:
                await backing.schemas.check(tool.parameters, compiled=compiled and tool.strict)
            except SchemaRefused as error:
                raise errors.schema_refused(str(error), f"tools[{position}].function.parameters") from None
    except SchemaRefused as error:
        raise errors.schema_refused(str(error)) from None
    except CheckBusy:
        raise errors.schema_check_busy(MAX_RETRY_AFTER_S) from None


def room(model: ServedModel, prompt_tokens: int | None, wanted: int | None, param: str) -> int:
    """Return the most tokens that an answer may have.

    Raises:
        ApiError: 400, with the numbers, when prompt and answer do not fit.
    """
    longest = model.settings.max_model_len
    left = longest - (prompt_tokens or 1)
    if left < (wanted or 1):
        raise errors.context_length_exceeded(prompt_tokens, wanted, longest, param)
    return wanted or left


async def answer_whole(order: Order) -> list[Completion]:
    """Return the answer of each job.

    Raises:
        ApiError: What went wrong first.
    """
    with api_errors(order.model):
        if len(order.jobs) == 1:
            return [await _complete(order, order.jobs[0])]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_complete(order, job)) for job in order.jobs]
        return [task.result() for task in tasks]


async def answer_streamed(order: Order) -> AsyncGenerator[tuple[int, Piece], None]:
    """Yield the pieces of all answers as they come, each with the number of its job.

    Raises:
        ApiError: What went wrong first; nothing comes after it.
    """
    with api_errors(order.model):
        if len(order.jobs) == 1:
            async with aclosing(_pieces(order, order.jobs[0])) as pieces:
                async for piece in pieces:
                    yield 0, piece
        else:
            async with aclosing(_interleaved(order)) as numbered:
                async for number, piece in numbered:
                    yield number, piece


async def _complete(order: Order, job: Job) -> Completion:
    model, record = order.model, order.record

    def work() -> Coroutine[Any, Any, Completion]:
        _queued(record)
        return model.engine.complete(job)

    done = await model.admission.run(work, order.caller, batch=order.batch)
    if record.first_token_s is None:
        record.first_token_s = (record.queued_s or 0.0) + done.first_token_s
    return done


async def _pieces(order: Order, job: Job) -> AsyncGenerator[Piece, None]:
    model, record = order.model, order.record
    async with model.admission.place(order.caller, batch=order.batch):
        _queued(record)
        async with aclosing(model.engine.stream(job)) as pieces:
            async for piece in pieces:
                if record.first_token_s is None:
                    record.first_token_s = record.elapsed_s
                yield piece


async def _interleaved(order: Order) -> AsyncGenerator[tuple[int, Piece], None]:
    """Run the jobs side by side; a reader that is slow holds them all."""
    ready: asyncio.Queue[tuple[int, Piece] | None] = asyncio.Queue(_PIECES_AHEAD * len(order.jobs))

    async def run(number: int, job: Job) -> None:
        async with aclosing(_pieces(order, job)) as pieces:
            async for piece in pieces:
                await ready.put((number, piece))

    async def run_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number, job in enumerate(order.jobs):
                    group.create_task(run(number, job))
        except BaseException:
            while not ready.empty():  # what is left is of no use, and the reader must learn of the end
                ready.get_nowait()
            ready.put_nowait(None)
            raise
        await ready.put(None)

    running = asyncio.create_task(run_all())
    try:
        while (item := await ready.get()) is not None:
            yield item
        await running  # raises what went wrong
    finally:
        running.cancel()
        await asyncio.wait([running])


def _queued(record: RequestRecord) -> None:
    if record.queued_s is None:
        record.queued_s = record.elapsed_s


@contextmanager
def api_errors(model: ServedModel) -> Iterator[None]:
    """Turn what admission and engines raise into what the caller is told."""
    try:
        yield
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):  # of several answers, the one that failed first
            first = first.exceptions[0]
        told = _told(first, model)
        if told is error:
            raise
        raise told from error


def _told(error: BaseException, model: ServedModel) -> BaseException:
    model_id = model.settings.model_id
    match error:
        case QueueFull():
            retry_after_s = min(max(1, math.ceil(error.wait_s)), MAX_RETRY_AFTER_S)
            return errors.queue_full(model_id, error.waiting, retry_after_s)
        case PromptTooLong():
            return errors.prompt_too_long(str(error))
        case PromptRefused():
            return errors.bad_request(f"messages: {error}.", param="messages")
        case SchemaRefused():
            return errors.schema_refused(str(error))
        case Unsupported():
            return errors.unsupported(error.param, f"{error}.")
        case EngineLost():
            logger.error("model %s: a request was lost with its engine: %s", model_id, error)
            return errors.engine_lost(model_id, LOST_RETRY_AFTER_S)
        case EngineError():
            logger.error("model %s: %s", model_id, error)
            return errors.engine_failed(model_id)
    return error
