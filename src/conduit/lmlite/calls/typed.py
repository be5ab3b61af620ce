"""The typed call: prompt and values in, a validated value out, with retries that quote what was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

from conduit import mdl
from conduit.errors import AnswerError, OutputInvalid, OutputTruncated, PromptTooLong
from conduit.lmlite.calls.channels import check_not_refused, written
from conduit.lmlite.calls.metering import Meter
from conduit.lmlite.calls.reply import Reply
from conduit.lmlite.request import GREEDY, LMReply, LMRequest, Message, ReasoningField, Sampling
from conduit.mdl.answer import repair, split_thinking
from conduit.mdl.form import Record

T = TypeVar("T")

RETRIES = 2
_QUOTED_ERRORS = 8
_LONG_ANSWER = 4_096  # characters; to read and repair more holds up the other calls for milliseconds
_MISPLACED = repair("reasoning-channel")


def typed_request(
    prompt: mdl.Prompt[Any],
    values: Any,
    *,
    model_id: str,
    block: str | None = None,
    sampling: Sampling = GREEDY,
    request_id: str = "",
) -> LMRequest:
    """The request that asks for a value of the prompt's output type."""
    return LMRequest(
        model_id=model_id,
        messages=(
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user(values)},
        ),
        block=block,
        output=prompt.output,
        values=values,
        schema=prompt.schema,
        response_format=_response_format(prompt),
        reasoning=reasoning_field(prompt),
        sampling=sampling,
        request_id=request_id,
    )


def reasoning_field(prompt: mdl.Prompt[Any]) -> ReasoningField:
    """Where the prompt asks for reasoning."""
    if not prompt.reasoning:
        return None
    root = prompt.asked.root
    assert isinstance(root, Record)
    return "around" if any(member.form is prompt.output_form.root for member in root.members) else "beside"


async def ask(
    prompt: mdl.Prompt[T],
    request: LMRequest,
    send: Callable[[LMRequest], Awaitable[LMReply]],
    meter: Meter,
) -> Reply[T]:
    """Sends the request until its answer is a value; at most ``RETRIES`` times again.

    Only an answer that does not fit is asked for again. One that the token limit cut would be cut again, and a
    model that declined would decline again.

    Args:
        prompt: What the answer is read by.
        request: The first request. A further one repeats its messages and adds the bad answer and its errors.
        send: Sends a request; what it raises ends the call.
        meter: Told what became of each answer.

    Raises:
        OutputInvalid: The last answer does not fit either.
        OutputTruncated: The token limit cut an answer.
        OutputRefused: The model declined to answer.
        ModelError: As ``send`` raises it.
    """
    attempt = 1
    reply = await send(request)
    while True:
        try:
            return await _read(prompt, request, reply, attempt, meter)
        except AnswerError as error:
            meter.refused(error)
            if not isinstance(error, OutputInvalid):
                raise
            if attempt > RETRIES:
                raise _final(request, error, attempt) from error
            invalid = error
        attempt += 1
        try:
            reply = await send(_with_correction(request, invalid))
        except PromptTooLong:
            # The quoted answer does not fit beside the prompt: what is to be told is the answer's fault.
            raise _final(request, invalid, attempt - 1) from invalid


async def _read(
    prompt: mdl.Prompt[T], request: LMRequest, reply: LMReply, attempt: int, meter: Meter
) -> Reply[T]:
    check_not_refused(request, reply, attempt)
    reply, misplaced = written(reply)
    parse = partial(prompt.parse, reply.text, truncated=reply.finish_reason == "length")
    try:
        parsed = await anyio.to_thread.run_sync(parse) if len(reply.text) > _LONG_ANSWER else parse()
    except OutputTruncated as error:
        raise OutputTruncated(
            f"{request.caller}: {error.message}",
            hint=error.hint,
            raw=error.raw,
            attempts=attempt,
            completion_tokens=reply.completion_tokens,
            partial=error.partial,
        ) from error
    repairs = (_MISPLACED, *parsed.repairs) if misplaced else parsed.repairs
    meter.taken([repair.kind for repair in repairs])
    reasoning = "\n".join(filter(None, (reply.reasoning, parsed.reasoning)))
    return Reply(parsed.value, reasoning, repairs, meter.attempts)


def _with_correction(request: LMRequest, error: OutputInvalid) -> LMRequest:
    lines = "\n".join(f"- {line}" for line in error.errors[:_QUOTED_ERRORS])
    correction: tuple[Message, ...] = (
        {"role": "assistant", "content": split_thinking(error.raw)[1]},
        {"role": "user", "content": f"That is not valid:\n{lines}\nAnswer again with JSON of type OUTPUT."},
    )
    return replace(request, messages=(*request.messages, *correction))


def _final(request: LMRequest, error: OutputInvalid, attempts: int) -> OutputInvalid:
    times = f"after {attempts} attempts" if attempts > 1 else "at the first attempt"
    return OutputInvalid(
        f"{request.caller}: no valid answer {times}. {error.message}",
        hint=error.hint,
        raw=error.raw,
        errors=error.errors,
        attempts=attempts,
    )


_formats: dict[str, dict[str, Any]] = {}
_MOST_FORMATS = 512


def _response_format(prompt: mdl.Prompt[Any]) -> dict[str, Any]:
    # Kept by the hash, which covers the schema: lowering costs more than all else here.
    found = _formats.get(prompt.hash)
    if found is None:
        if len(_formats) >= _MOST_FORMATS:
            _formats.clear()
        lowered = mdl.lower(prompt.schema, "llguidance").schema
        found = {"type": "json_schema", "json_schema": {"name": "output", "schema": lowered, "strict": True}}
        _formats[prompt.hash] = found
    return found
