"""The sockets of callers, of which few are read at a time.

An event loop reads all sockets that have something before it goes on with any of them. With hundreds of callers,
each request is then worked on in steps, and between two of its steps those of all others pass through the
processor's caches: 500 callers got 0.8 of the requests a second that 100 got. Here the sockets lie in an epoll of
their own, which the loop watches as one file, and in each turn of the loop at most ``_AT_A_TIME`` are read. What
the others have sent waits in the kernel, where it takes no room in the caches. Requests under way are not limited
by it: those that wait for a replica keep no socket from being read.

Linux only, and not for TLS, which is Python's business; there a front listens by the loop's own means.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import socket
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

_AT_A_TIME = 16
_READ_BYTES = 64 * 1024
_HIGH_WATER_BYTES, _LOW_WATER_BYTES = 64 * 1024, 16 * 1024
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_ROOM_PAUSE_S = 1.0


class Doorway:
    """An open port, and the sockets that came by it; in place of an ``asyncio.Server``.

    Args:
        listener: Not blocking, and listening.
        protocol: Makes the protocol of one connection.
    """

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener, self._protocol = listener, protocol
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._callers: dict[int, _Caller] = {}
        self._poll.register(listener, select.EPOLLIN)
        self._loop.add_reader(self._poll.fileno(), self._turn)

    def close(self) -> None:
        """Takes no more connections; those that there are go on."""
        self._poll.unregister(self._listener)  # a forked child may hold it open
        self._listener.close()
        self._end_if_idle()

    def watch(self, caller: _Caller, events: int) -> None:
        """Says what of a socket is waited for."""
        number = caller.number
        if number in self._callers:
            self._poll.modify(number, events)
        else:
            self._callers[number] = caller
            self._poll.register(number, events)

    def forget(self, caller: _Caller) -> None:
        """A socket is about to be closed."""
        self._poll.unregister(caller.number)
        del self._callers[caller.number]
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._listener.fileno() < 0 and not self._callers and not self._poll.closed:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()

    def _turn(self) -> None:
        for number, events in self._poll.poll(0, _AT_A_TIME):
            caller = self._callers.get(number)
            if caller is not None:
                caller.ready(events)
            elif number == self._listener.fileno():
                self._accept()

    def _accept(self) -> None:
        for _ in range(_AT_A_TIME):
            try:
                made, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                _log.warning("no connection can be taken now: %s", error.strerror)
                self._poll.modify(self._listener, 0)
                self._loop.call_later(_NO_ROOM_PAUSE_S, self._accept_again)
                return
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Caller(self, made, self._protocol())

    def _accept_again(self) -> None:
        if self._listener.fileno() >= 0:
            self._poll.modify(self._listener, select.EPOLLIN)


class _Caller(asyncio.Transport):
    """One socket. As an ``asyncio.Transport`` says, where no other is said."""

    def __init__(self, doorway: Doorway, connected: socket.socket, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._doorway, self._socket, self._protocol = doorway, connected, protocol
        self._loop = asyncio.get_running_loop()
        self.number = connected.fileno()
        self._unsent = bytearray()
        self._events = select.EPOLLIN
        self._closing = self._full = self._eof = False
        doorway.watch(self, self._events)
        protocol.connection_made(self)

    def ready(self, events: int) -> None:
        """The socket can be read or written, or is broken."""
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and self._socket.fileno() >= 0:
            if self._events & select.EPOLLIN:
                self._read()
            else:
                self._lose(None)  # not being read, it is told of only when it is broken

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
        elif self._closing:
            self.pause_reading()
        elif not self._protocol.eof_received():
            self.close()

    def write(self, data: Any) -> None:
        if self._socket.fileno() < 0:
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += data
        if len(self._unsent) > _HIGH_WATER_BYTES and not self._full:
            self._flush()
            if len(self._unsent) > _HIGH_WATER_BYTES:
                self._full = True
                self._protocol.pause_writing()

    def _flush(self) -> None:
        if self._socket.fileno() < 0:
            return
        if self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._lose(error)
                return
            del self._unsent[:sent]
        self._wait_for(select.EPOLLOUT, bool(self._unsent))
        if self._full and len(self._unsent) <= _LOW_WATER_BYTES:
            self._full = False
            self._protocol.resume_writing()
        if not self._unsent:
            if self._eof:
                self._eof = False
                with contextlib.suppress(OSError):  # the other side was quicker
                    self._socket.shutdown(socket.SHUT_WR)
            if self._closing:
                self._lose(None)

    def _wait_for(self, event: int, wanted: bool) -> None:
        events = self._events | event if wanted else self._events & ~event
        if events != self._events:
            self._events = events
            self._doorway.watch(self, events)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._eof = True
        self._flush()

    def pause_reading(self) -> None:
        self._wait_for(select.EPOLLIN, False)

    def resume_reading(self) -> None:
        if not self._closing:
            self._wait_for(select.EPOLLIN, True)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.pause_reading()
            self._loop.call_soon(self._flush)

    def abort(self) -> None:
        self._closing = True
        self._loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if self._socket.fileno() >= 0:
            self._closing = True
            self._doorway.forget(self)
            self._socket.close()
            self._protocol.connection_lost(error)
