"""A request as it comes in: its body within limits, and the little of it that decides where it goes.

The body is forwarded as it came. It is parsed only where there is something to decide: several models, or a policy
that looks at prompts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pydantic_core

from conduit.lmlite.front.door import Limits
from conduit.lmlite.front.refusals import Refusal, Refused
from conduit.lmlite.front.request import Request
from conduit.lmlite.replicas.policies import Routable

_CHARS_PER_TOKEN = 4
_USUAL_TOKENS, _MOST_TOKENS = 256, 1_000_000
_DISCARD_BYTES, _DISCARD_S = 8 * 1024 * 1024, 2.0


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Args:
        request: Whose.
        limits: Its size; its time is the door's business.

    Raises:
        Refused: It is too large.
        CallerLeft: Its sender has gone.
    """
    declared = request.headers.get(b"content-length", b"0")
    size = int(declared) if declared.isdigit() else 0
    pieces = []
    if size <= limits.body_bytes:
        size = 0
        while size <= limits.body_bytes and (piece := await request.piece()):
            pieces.append(piece)
            size += len(piece)
    if size <= limits.body_bytes:
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    await discard(request)
    raise Refused(_too_large(limits))


async def stream_body(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces, for one that is not to be held whole.

    Raises:
        CallerLeft: Its sender has gone.
    """
    while piece := await request.piece():
        yield piece


async def discard(request: Request) -> None:
    """Takes in, within bounds, what a refused caller still writes: until it has written it does not read.

    Raises:
        CallerLeft: It has gone.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S):
            while size <= _DISCARD_BYTES and (piece := await request.piece()):
                size += len(piece)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"The body is larger than {limits.body_bytes} bytes.", "body_too_large")


class Sorter:
    """Tells where requests belong.

    Args:
        model_ids: What is served.
        looks: Whether the policy looks at prompts.
    """

    def __init__(self, model_ids: tuple[str, ...], *, looks: bool) -> None:
        self._model_ids = model_ids
        self._parses = looks or len(model_ids) > 1

    def routable(self, body: bytes) -> Routable:
        """What decides where the request goes; a body that says nothing of use goes anywhere and is refused there.

        Raises:
            Refused: It names a model that is not here.
        """
        if not self._parses:
            return Routable(self._model_ids[0], b"", len(body) // _CHARS_PER_TOKEN + _USUAL_TOKENS)
        try:
            asked = pydantic_core.from_json(body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            asked = {}
        model_id = asked.get("model")
        if isinstance(model_id, str) and model_id not in self._model_ids:
            known = ", ".join(self._model_ids)
            raise Refused(
                Refusal(
                    404, f"There is no model {model_id[:200]!r} here; it has: {known}.", "model_not_found"
                )
            )
        return Routable(
            model_id if isinstance(model_id, str) else self._model_ids[0],
            _prefix(asked),
            len(body) // _CHARS_PER_TOKEN + _wanted_tokens(asked),
        )


def _wanted_tokens(asked: dict[str, Any]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = asked.get(name)
        if isinstance(value, int) and 0 < value < _MOST_TOKENS:
            return value
    return _USUAL_TOKENS


def _prefix(asked: dict[str, Any]) -> bytes:
    """What requests of one kind begin with: the system message, if one is there and more follows."""
    messages = asked.get("messages")
    if not isinstance(messages, list) or len(messages) < 2 or not isinstance(messages[0], dict):
        return b""
    content = messages[0].get("content")
    return content.encode(errors="replace") if isinstance(content, str) else b""
