"""The way back to a caller: the answer to one request, as HTTP/1.1 writes it."""

from __future__ import annotations

import http
import time

from conduit.lmlite.front.door import Door
from conduit.lmlite.front.refusals import Refusal
from conduit.lmlite.front.request import Request
from conduit.lmlite.replicas.answer import Header

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in http.HTTPStatus}


class Reply:
    """An answer.

    Attributes:
        status: Of the answer; 0 before it began.
        first_byte_at: When it began, by ``time.monotonic``.
    """

    def __init__(self, door: Door, request: Request, request_id: str) -> None:
        self._door, self._request = door, request
        self._request_id = request_id.encode()
        self.status = 0
        self.first_byte_at: float | None = None

    async def start(self, status: int, headers: list[Header]) -> None:
        """Sends the head of an answer whose length is not known."""
        if self._request.chunks:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        self._door.write(self._head(status, headers))

    async def body(self, data: bytes, *, more: bool) -> None:
        """Sends a part of the body, once the caller has taken the ones before."""
        await self._door.room()
        if self._request.chunks:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if not more:
                data += b"0\r\n\r\n"
        if data:
            self._door.write(data)
        if not more:
            self._door.answered()

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """Sends an answer at once, when the caller has taken the ones before."""
        await self._door.room()
        head = self._head(status, [*headers, (b"content-length", b"%d" % len(body))])
        self._door.write(head if self._request.method == "HEAD" else head + body)
        self._door.answered()

    async def refuse(self, refused: Refusal) -> None:
        """Sends an error; where an answer has begun, breaks it off."""
        if not self.status:
            await self.whole(refused.status, refused.headers, refused.body)
        else:
            self._door.break_off()

    async def break_off(self, refused: Refusal, *, events: bool) -> None:
        """Ends an answer that has begun and cannot be finished."""
        if events:
            await self.body(b"data: " + refused.body + b"\n\n", more=True)
        self._door.break_off()

    def _head(self, status: int, headers: list[Header]) -> bytes:
        self.status, self.first_byte_at = status, time.monotonic()
        parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        for name, value in headers:
            parts += name, b": ", value, b"\r\n"
        parts += b"x-request-id: ", self._request_id, b"\r\n"
        parts.append(b"\r\n" if self._door.keeps else b"connection: close\r\n\r\n")
        return b"".join(parts)
