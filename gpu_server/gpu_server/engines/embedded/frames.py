"""The form of what passes between the server and its engine's process: frames, each a list of messages.

A frame is four bytes of length, most significant first, and that many bytes of JSON. A message is a list whose
first entry names it. Whatever has piled up goes into one frame, so a burst costs one write, one wake-up and one
parsing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

MAX_FRAME_BYTES = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")

Message = Sequence[Any]


class NoFrame(Exception):
    """What came is no frame: the other side is not what it should be, or something else writes there."""


def encode(messages: Sequence[Message]) -> bytes:
    """Return one frame with these messages."""
    body = json.dumps(messages, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Takes bytes as they come and gives back whole messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """Take the next bytes and yield the messages that are whole now.

        Raises:
            NoFrame: They cannot be a frame.
        """
        held = self._held
        held += data
        while len(held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held)
            if length > MAX_FRAME_BYTES:
                raise NoFrame(f"a frame of {length} bytes is announced; {MAX_FRAME_BYTES} is the most")
            end = _LENGTH.size + length
            if len(held) < end:
                return
            body = bytes(held[_LENGTH.size : end])
            del held[:end]
            yield from _messages(body)


def _messages(body: bytes) -> list[list[Any]]:
    try:
        messages = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoFrame(f"a frame of {len(body)} bytes holds no JSON") from error
    if not isinstance(messages, list) or not all(
        isinstance(message, list) and message and isinstance(message[0], str) for message in messages
    ):
        raise NoFrame(f"a frame of {len(body)} bytes holds no list of messages")
    return messages
