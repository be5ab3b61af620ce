"""From the arguments of a call to a request: which of its two forms it is, and whether it makes sense."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from conduit import mdl
from conduit.errors import ArgumentInvalid
from conduit.lmlite.calls.typed import typed_request
from conduit.lmlite.request import LMRequest, Message, Sampling


class SamplingOptions(TypedDict, total=False):
    """How an answer is drawn; see ``Sampling``. The temperature is 0 where none is given."""

    temperature: float
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    top_p: float | None


class _Arguments(SamplingOptions, total=False):
    """What both forms of a call take.

    ``model_id`` may be left out when there is one model. ``timeout_s`` counts once the deployment is up, all
    attempts included.
    """

    model_id: str | None
    timeout_s: float | None


class ChatArguments(_Arguments, total=False):
    """A call that is answered with text: OpenAI-style ``messages``, after the ``system_message``."""

    messages: Sequence[Message] | None
    system_message: str | None


class ValueArguments(_Arguments, total=False):
    """A call that is answered with a value of its ``output`` type.

    ``input`` is the value to work on and ``guidance`` what to do. With ``reasoning`` the model first reasons in a
    field of its own, which is no part of the value.
    """

    messages: None
    system_message: None
    input: Any
    guidance: str | None
    reasoning: bool


def sampling(
    *,
    temperature: float = 0.0,
    max_tokens: int | None = None,
    stop: str | Sequence[str] | None = None,
    seed: int | None = None,
    top_p: float | None = None,
) -> Sampling:
    """The options in one value."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return Sampling(temperature, max_tokens, stops, seed, top_p)


def new_request_id() -> str:
    """Names a request in the run log and the server's log."""
    return secrets.token_hex(8)


def chat_request(
    model_id: str,
    messages: Sequence[Message] | None,
    system_message: str | None,
    drawn: Sampling,
) -> LMRequest:
    """The request of the form ``messages=[...] -> str``.

    Raises:
        ArgumentInvalid: There is nothing to answer, or it has not the form of messages.
    """
    if messages is None and system_message is None:
        raise ArgumentInvalid(
            "The call has neither messages nor output, so there is nothing to answer.",
            hint='Give messages=[{"role": "user", "content": "..."}], or input=value and output=Type.',
            argument="messages",
        )
    if isinstance(messages, str | Mapping):
        raise ArgumentInvalid(
            f"messages is a {type(messages).__name__}.",
            hint='Give a list: messages=[{"role": "user", "content": "..."}].',
            argument="messages",
        )
    first = () if system_message is None else ({"role": "system", "content": system_message},)
    listed = (*first, *(messages or ()))
    for position, message in enumerate(listed):
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise ArgumentInvalid(
                f"messages[{position - len(first)}] has no role and content: {message!r:.80}.",
                hint='A message is {"role": "user", "content": "..."}.',
                argument="messages",
            )
    return LMRequest(model_id, listed, sampling=drawn, request_id=new_request_id())


def value_request(
    model_id: str, prompt: mdl.Prompt[Any], values: Any, drawn: Sampling, block: str | None = None
) -> LMRequest:
    """The request of the form ``input=x, output=T -> T``, or of a block."""
    return typed_request(
        prompt, values, model_id=model_id, block=block, sampling=drawn, request_id=new_request_id()
    )


@dataclass(frozen=True)
class Asked:
    """A call as its arguments make it; without a prompt its answer is text."""

    request: LMRequest
    prompt: mdl.Prompt[Any] | None = None
    timeout_s: float | None = None


def call(
    choose: Callable[[str | None], str],
    *,
    model_id: str | None = None,
    messages: Sequence[Message] | None = None,
    system_message: str | None = None,
    input: Any = None,
    output: Any = None,
    guidance: str | None = None,
    reasoning: bool = False,
    timeout_s: float | None = None,
    **options: Unpack[SamplingOptions],
) -> Asked:
    """A call of either form from its arguments, which ``ChatArguments`` and ``ValueArguments`` describe.

    Raises:
        ArgumentInvalid: The arguments make no call.
        ModelNotFound: There is no such model.
        UnsupportedType: MDL cannot express a type.
    """
    model, drawn = choose(model_id), sampling(**options)
    if output is None and input is None and guidance is None and not reasoning:
        return Asked(chat_request(model, messages, system_message, drawn), timeout_s=timeout_s)
    others = {"messages": messages, "system_message": system_message}
    prompt = call_prompt(output, input, guidance, reasoning=reasoning, others=others)
    return Asked(value_request(model, prompt, input, drawn), prompt, timeout_s)


def call_prompt(
    output: Any, value: Any, guidance: str | None, *, reasoning: bool, others: Mapping[str, Any]
) -> mdl.Prompt[Any]:
    """The prompt of a typed call, compiled once for its types and guidance.

    Args:
        output: Type of the answer.
        value: The input; ``None`` when there is none.
        guidance: What the model is to do.
        reasoning: Whether it is to reason first, in a field of its own.
        others: Arguments of the other form, which must all be ``None``.

    Raises:
        ArgumentInvalid: There is no output type, or the two forms are mixed.
        UnsupportedType: MDL cannot express a type.
    """
    if output is None:
        given = "input" if value is not None else "guidance" if guidance is not None else "reasoning"
        raise ArgumentInvalid(
            f"The call has {given}, but no output type.",
            hint="Give output=Type for a value, or messages=[...] for text.",
            argument="output",
        )
    if mixed := [name for name, given in others.items() if given is not None]:
        raise ArgumentInvalid(
            f"The call has output and also {' and '.join(mixed)}.",
            hint="A typed call takes input, output and guidance; a chat takes messages and system_message.",
            argument=mixed[0],
        )
    source: Any = None if value is None else type(value)
    try:
        return _prompt(output, source, guidance or "", reasoning)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _prompt.__wrapped__(output, source, guidance or "", reasoning)


@lru_cache(maxsize=256)
def _prompt(output: Any, source: Any, guidance: str, reasoning: bool) -> mdl.Prompt[Any]:
    return mdl.prompt(output=output, input=source, instruction=guidance, reasoning=reasoning)
