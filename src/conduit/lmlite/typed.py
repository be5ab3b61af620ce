"""The typed call: prompt and values in, a validated value out, with retries that quote what was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from conduit import mdl
from conduit.errors import OutputInvalid, OutputTruncated, PromptTooLong
from conduit.lmlite.request import GREEDY, LMReply, LMRequest, Message, Sampling

T = TypeVar("T")

RETRIES = 2
_QUOTED_ERRORS = 8


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
        sampling=sampling,
        request_id=request_id,
    )


async def ask(
    prompt: mdl.Prompt[T], request: LMRequest, send: Callable[[LMRequest], Awaitable[LMReply]]
) -> mdl.Parsed[T]:
    """Sends the request until its answer is a value; at most ``RETRIES`` times again.

    Only an answer that does not fit is asked for again. One that the token limit cut would be cut again.

    Raises:
        OutputInvalid: The last answer does not fit either.
        OutputTruncated: The token limit cut an answer.
        ModelError: As ``send`` raises it.
    """
    attempt = 1
    reply = await send(request)
    while True:
        try:
            return prompt.parse(reply.text, truncated=reply.finish_reason == "length")
        except OutputTruncated as error:
            raise OutputTruncated(
                f"{_caller(request)}: {error.message}",
                hint=error.hint,
                raw=error.raw,
                attempts=attempt,
                completion_tokens=reply.completion_tokens,
            ) from error
        except OutputInvalid as error:
            if attempt > RETRIES:
                raise _final(request, error, attempt) from error
            attempt += 1
            try:
                reply = await send(_with_correction(request, error))
            except PromptTooLong:
                # The quoted answer does not fit beside the prompt: what is to be told is the answer's fault.
                raise _final(request, error, attempt - 1) from error


def _with_correction(request: LMRequest, error: OutputInvalid) -> LMRequest:
    lines = "\n".join(f"- {line}" for line in error.errors[:_QUOTED_ERRORS])
    correction: tuple[Message, ...] = (
        {"role": "assistant", "content": error.raw},
        {"role": "user", "content": f"That is not valid:\n{lines}\nAnswer again with JSON of type OUTPUT."},
    )
    return replace(request, messages=(*request.messages, *correction))


def _final(request: LMRequest, error: OutputInvalid, attempts: int) -> OutputInvalid:
    times = f"after {attempts} attempts" if attempts > 1 else "at the first attempt"
    return OutputInvalid(
        f"{_caller(request)}: no valid answer {times}. {error.message}",
        hint=error.hint,
        raw=error.raw,
        errors=error.errors,
        attempts=attempts,
    )


def _caller(request: LMRequest) -> str:
    return request.block or request.model_id


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
