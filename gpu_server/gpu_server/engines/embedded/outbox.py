"""Where the engine's threads leave what the server is to hear; one frame carries all that has piled up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from gpu_server.engines.embedded.frames import Message, encode

QUIET_S = 0.1
"""Counts that nobody waits for are told this often."""


class Outbox:
    """Collects messages from many threads and writes them in order.

    Bounded by what it carries: the text of the requests that run. Where the server does not read, the writer stands
    still inside the pipe, and what piles up is at most the rest of those answers.

    Args:
        pipe: Unbuffered; written by one thread at a time.
        counts: Returns the message that goes before all others of a frame, or None when nothing has changed.
    """

    def __init__(self, pipe: BinaryIO, counts: Callable[[], Message | None]) -> None:
        self._pipe = pipe
        self._counts = counts
        self._messages: deque[Message] = deque()
        self._writing = threading.Lock()
        self._flushed = 0.0

    def post(self, message: Message) -> None:
        """Leave a message; `flush` sends it."""
        self._messages.append(message)

    def flush(self) -> None:
        """Send what is there. Where another thread is at it, that one sends ours too."""
        while self._messages and self._writing.acquire(blocking=False):
            try:
                messages = [self._messages.popleft() for _ in range(len(self._messages))]
                if (counts := self._counts()) is not None:
                    messages.insert(0, counts)
                self._write(messages)
            finally:
                self._writing.release()

    def keep_counting(self) -> None:
        """Send the counts now and then although there is nothing else to say."""
        if time.monotonic() - self._flushed < QUIET_S or not self._writing.acquire(blocking=False):
            return
        try:
            if (counts := self._counts()) is not None:
                self._write([counts])
        finally:
            self._writing.release()
        self.flush()

    def _write(self, messages: list[Message]) -> None:
        self._flushed = time.monotonic()
        data = memoryview(encode(messages))
        while data:
            data = data[self._pipe.write(data) :]
