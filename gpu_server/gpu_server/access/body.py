"""The body of a request, taken in within a size and a time, whole or as it comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive

from gpu_server import errors

_REFUSED_BYTES = 1024 * 1024
_REFUSED_TIMEOUT_S = 2.0
_DISCARD_BYTES = 64 * 1024 * 1024


async def read_body(receive: Receive, declared: int, max_bytes: int, timeout_s: float) -> bytes | None:
    """Return the body, or None when the caller left.

    A body that is too large is still taken in for a while, unseen: a caller that is writing does not read, and
    would see a broken connection in place of the reason.

    Args:
        receive: Where it comes from.
        declared: The length that the head gives, 0 for none.
        max_bytes: Largest body.
        timeout_s: How long it may take.

    Raises:
        ApiError: 408 or 413.
    """
    chunks: list[bytes] = []
    size, too_large, more = 0, declared > max_bytes, True
    try:
        async with asyncio.timeout(timeout_s):
            while more and size <= _DISCARD_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                too_large = too_large or size > max_bytes
                if too_large:
                    chunks.clear()
                else:
                    chunks.append(chunk)
    except TimeoutError:
        raise errors.body_too_slow(timeout_s) from None
    if too_large:
        raise errors.body_too_large(max_bytes)
    return b"".join(chunks)


async def discard(receive: Receive) -> None:
    """Take in what a refused caller is still writing, within bounds: until it has written it does not read."""
    size, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_REFUSED_TIMEOUT_S):
            while more and size <= _REFUSED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)


class BodyInParts:
    """The `receive` of a route that reads a long body itself; each part must come in time.

    Args:
        receive: Where it comes from.
        declared: The length that the head gives, 0 for none.
        max_bytes: Largest body.
        timeout_s: Longest wait for the next part.
    """

    def __init__(self, receive: Receive, declared: int, max_bytes: int, timeout_s: float) -> None:
        self._receive, self._max_bytes, self._timeout_s = receive, max_bytes, timeout_s
        self._size, self._too_large, self._more = 0, declared > max_bytes, True

    async def __call__(self) -> Message:
        """Return the next part, and after the last what happens to the connection.

        Raises:
            ApiError: 408 or 413.
        """
        if not self._more:
            return await self._receive()
        if self._too_large:
            await discard(self._receive)
            raise errors.body_too_large(self._max_bytes)
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self._receive()
        except TimeoutError:
            raise errors.body_too_slow(self._timeout_s) from None
        self._size += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        if self._size > self._max_bytes:
            if self._more:
                await discard(self._receive)
            raise errors.body_too_large(self._max_bytes)
        return message
