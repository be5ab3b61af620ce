"""An HTTP answer as it arrives: status and headers first, the body in pieces, each waited for.

httptools reads the bytes; here is what a caller needs to wait for them. Only answers that say how long they are (a
length, or chunks) end well: where the end of the connection would be the end of the answer, a cut could not be told
from it.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import Protocol

import httptools

HIGH_WATER_BYTES = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024

Header = tuple[bytes, bytes]


_OWN_FAULTS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


class ConnectionProblem(Exception):
    """What can happen to a connection."""


class ConnectFailed(ConnectionProblem):
    """No connection could be made: the request has not been sent."""

    @property
    def own_fault(self) -> bool:
        """Whether this side has no files or ports left, which tells nothing of the other."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno in _OWN_FAULTS


class ConnectionBroken(ConnectionProblem):
    """The connection ended, or brought something that is no HTTP, before the answer was complete."""


class Answer(Protocol):
    """The head is there, the body comes.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
    """

    status: int
    headers: Sequence[Header]

    async def piece(self) -> bytes:
        """The next bytes of the body, as many as there are; empty at its end.

        Raises:
            ConnectionBroken: The body was cut.
        """
        ...

    def close(self) -> None:
        """Gives the answer up where it is not complete: the replica sees its caller leave."""
        ...


async def whole(answer: Answer) -> bytes:
    """The rest of the body."""
    pieces = []
    while piece := await answer.piece():
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def header(answer: Answer, name: bytes) -> str | None:
    """The first header of that name (in lower case)."""
    return next((value.decode("latin-1") for known, value in answer.headers if known == name), None)


class Arriving:
    """The answer that a connection is reading; it outlives the connection's interest in it.

    Args:
        transport: The connection's.
    """

    __slots__ = (
        "_broken",
        "_held",
        "_paused",
        "_pieces",
        "_transport",
        "_waiter",
        "complete",
        "head_done",
        "headers",
        "keep_alive",
        "status",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._held = 0
        self._paused = self.head_done = self.complete = False
        self.keep_alive = False
        self._broken: ConnectionBroken | None = None
        self.status = 0
        self.headers: Sequence[Header] = ()

    def more(self) -> asyncio.Future[None]:
        """Done when more has come, or the connection has ended.

        Raises:
            ConnectionBroken: It has ended before the answer did.
        """
        if self._broken is not None:
            raise self._broken
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    async def piece(self) -> bytes:
        """As ``Answer`` says."""
        while not self._pieces:
            if self.complete:
                return b""
            await self.more()
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._held = None, 0
        self._read_on()
        return found

    def close(self) -> None:
        """As ``Answer`` says."""
        if not self.complete:
            self._transport.abort()

    def take(self, piece: bytes) -> None:
        """A part of the body has come."""
        if self._pieces is None:
            self._pieces = [piece]
        else:
            self._pieces.append(piece)
        self._held += len(piece)
        if self._held > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def end(self, *, keep_alive: bool) -> None:
        """All of it has come."""
        self.complete, self.keep_alive = True, keep_alive
        self._read_on()

    def fail(self, error: ConnectionBroken) -> None:
        """Tells who waits, now or later, that no more comes; pieces that are here can still be taken."""
        if not self.complete and self._broken is None:
            self._broken = error
        self.wake()

    def wake(self) -> None:
        """Something has changed."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()


class Reader:
    """Reads the answers of one connection, one after the other; ``on_...`` are the parser's.

    Attributes:
        answer: The one that is awaited, if any.
    """

    def __init__(self) -> None:
        self.answer: Arriving | None = None
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def begin(self, answer: Arriving) -> None:
        """The next answer is this one."""
        self.answer, self._head_bytes = answer, 0

    def feed(self, data: bytes) -> Arriving:
        """Takes what came on the connection, wakes who waits for it, and returns the answer that it belongs to.

        Raises:
            ConnectionBroken: It is no HTTP, or nothing was asked.
        """
        answer, parser = self._awaited, self._parser
        if parser is None:
            return answer
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ConnectionBroken(f"its answer is no HTTP: {error}") from error
        if not answer.head_done:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise ConnectionBroken(f"the head of its answer is longer than {MAX_HEAD_BYTES} bytes")
        if answer.complete:
            self.answer = None
        answer.wake()
        return answer

    def end(self, error: ConnectionBroken) -> None:
        """No more comes."""
        # The parser knows this object: left so, each connection would be work for the garbage collector.
        self._parser = None
        if self.answer is not None:
            self.answer.fail(error)

    def on_message_begin(self) -> None:
        if self._awaited.complete:
            raise ConnectionBroken("it goes on beyond its end")
        self._headers.clear()  # of what trailers the one before had

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        answer, status = self._awaited, self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if status >= 200:  # no interim answer, which the one that counts follows
            answer.status, answer.headers, answer.head_done = status, headers, True

    def on_body(self, body: bytes) -> None:
        self._awaited.take(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._awaited.head_done:
            self._awaited.end(keep_alive=self._parser.should_keep_alive())

    @property
    def _awaited(self) -> Arriving:
        if self.answer is None:
            raise ConnectionBroken("nothing was asked")
        return self.answer
