"""A request on its way through the engine's process, as the server holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gpu_server.engines.base import Alternative, FinishReason, Piece, TokenLogprob, Usage


class Pending:
    """One request whose end is awaited; for a stream also the pieces that nobody has taken yet.

    Attributes:
        key: Its name between server and engine.
        done: Gets the result, or what went wrong.
    """

    __slots__ = ("_given", "_logprobs", "_texts", "_thoughts", "_waiting", "done", "key")

    def __init__(self, key: int) -> None:
        self.key = key
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[Any] = []
        self._given = False
        self._waiting: asyncio.Future[None] | None = None

    def piece(self, text: str, reasoning: str, reported: Sequence[Any]) -> None:
        """Take a piece of a stream."""
        self._texts.append(text)
        self._thoughts.append(reasoning)
        self._logprobs += reported
        self._wake()

    def settle(self, outcome: object) -> None:
        """End the request."""
        if self.done.done():
            return
        if isinstance(outcome, BaseException):
            self.done.set_exception(outcome)
            self.done.exception()  # seen: a caller that has gone will not fetch it
        else:
            self.done.set_result(outcome)
        self._wake()

    async def next_piece(self) -> Piece | None:
        """Return what has come since the last call, as one piece; None after the last one.

        Raises what the request failed with.
        """
        if self._given:
            return None
        if not self._texts and not self.done.done():
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        finish: FinishReason | None = None
        usage = None
        if self.done.done() and (self.done.exception() is None or not self._texts):
            text, reasoning, reported, finish, counts, _ = self.done.result()
            self.piece(text, reasoning, reported)
            usage, self._given = Usage(*counts), True
        texts, thoughts, self._texts, self._thoughts = self._texts, self._thoughts, [], []
        reported, self._logprobs = self._logprobs, []
        return Piece("".join(texts), "".join(thoughts), finish, usage, logprobs=alternatives(reported))

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def alternatives(reported: Sequence[Any]) -> list[TokenLogprob]:
    """Return the engine's report in the server's form. Of alternatives it knows no bytes, only their text."""
    return [
        TokenLogprob(
            token,
            logprob,
            raw,
            [
                Alternative(text, each, None if "\ufffd" in text else list(text.encode()))
                for text, each in top
            ],
        )
        for token, logprob, raw, top in reported
    ]
