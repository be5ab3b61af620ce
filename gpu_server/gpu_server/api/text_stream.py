"""Streams the answers of an order as server-sent events: the same for chat and for raw text."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Send

from gpu_server.api.event_stream import DONE, EventStream
from gpu_server.api.generation import Order, answer_streamed
from gpu_server.engines.base import Piece, Usage
from gpu_server.errors import ApiError


class Chunks(Protocol):
    """Writes the events of one protocol."""

    def chunk(self, index: int, piece: Piece) -> str:
        """Return the events of a piece of one choice."""

    def usage(self, usage: Usage) -> str:
        """Return the event that carries the usage."""


async def stream_answers(order: Order, chunks: Chunks, send: Send, *, include_usage: bool) -> None:
    """Write all answers of an order, and how they ended.

    Raises:
        ApiError: What went wrong before anything was written.
    """
    stream = EventStream(send)
    ends: dict[int, tuple[str, Usage]] = {}

    def events(item: tuple[int, Piece]) -> str:
        index, piece = item
        if piece.finish is not None and piece.usage is not None:
            ends[index] = piece.finish, piece.usage
        return chunks.chunk(index, piece)

    try:
        await stream.write_all(answer_streamed(order), events)
    except ApiError as error:
        if not stream.begun:
            raise
        # 200 is sent already.
        order.record.status, order.record.code = error.status, error.code
        await stream.fail(error)
        return
    usage = order.ended([ends[index] for index in sorted(ends)])
    if include_usage:
        stream.add(chunks.usage(usage))
    stream.add(DONE)
    await stream.end()
