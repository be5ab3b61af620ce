"""One request of a caller: its head, and its body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

HIGH_WATER_BYTES = 256 * 1024


class CallerLeft(Exception):
    """Nobody waits for an answer any more."""


class Request:
    """What a caller asks.

    Attributes:
        method: In upper case.
        path: Without what is escaped in it, and without the query.
        target: Path and query as they came.
        headers: Names in lower case; of several with one name, the first.
        keep_alive: The connection may be used for another request.
        chunks: The caller understands an answer in chunks.
    """

    def __init__(self, read_on: Callable[[], object]) -> None:
        """Begins with nothing.

        Args:
            read_on: Called when there is room for more of the body again.
        """
        self.method = self.path = self.target = ""
        self.headers: dict[bytes, bytes] = {}
        self.keep_alive = self.chunks = True
        self._read_on = read_on
        self._pieces: list[bytes] = []
        self._held = 0
        self._complete = self._left = False
        self._waiter: asyncio.Future[None] | None = None

    async def piece(self) -> bytes:
        """The next bytes of the body, as many as there are; empty at its end.

        Raises:
            CallerLeft: Its sender has gone.
        """
        while not self._pieces:
            if self._complete:
                return b""
            if self._left:
                raise CallerLeft
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        was_full, self._held = self.full, 0
        if was_full:
            self._read_on()
        return found

    @property
    def full(self) -> bool:
        """More of the body is here than is good to hold."""
        return self._held > HIGH_WATER_BYTES

    def feed(self, data: bytes) -> None:
        """A part of the body came."""
        if not self._left:
            self._pieces.append(data)
            self._held += len(data)
            self._wake()

    def end(self) -> None:
        """All of the body came."""
        self._complete = True
        self._wake()

    def leave(self) -> None:
        """What may come of it is of no use any more."""
        self._left = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
