"""Answers one job: passes it to the server and yields what comes, as it comes.

An error is yielded as `{"error": …}` in OpenAI's form, which makes the job fail; after a lost engine the worker
asks to be replaced.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_server.errors import ApiError, internal
from gpu_server.serverless.job import Asked, read

logger = logging.getLogger(__name__)

Job = Mapping[str, Any]
_LOST = "engine_lost"
_EVENT_ENDS, _DATA = b"\n\n", b"data: "
_DONE, _ERROR = b"data: [DONE]", b'data: {"error"'


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says.

    Attributes:
        streamed: Whether it is events, and not one JSON value.
        pieces: Its bytes as they come.
    """

    status: int
    streamed: bool
    pieces: AsyncIterator[bytes]


class Backend(Protocol):
    """The server."""

    def ask(self, asked: Asked) -> AbstractAsyncContextManager[Answer]:
        """Send a request; leaving the context before its end takes it out of the engine.

        Raises:
            ConnectionError: The server is gone.
        """


class ErrorObject(dict[str, Any]):
    """OpenAI's error object. The SDK makes text of it, which then is JSON."""

    def __str__(self) -> str:
        """Return it as JSON."""
        return json.dumps(self)


def handler(
    backend: Backend, served: Sequence[str], lost: Callable[[], None]
) -> Callable[[Job], AsyncGenerator[Any, None]]:
    """Return the SDK's handler: a generator function, by which the SDK knows that it streams.

    Args:
        backend: Answers.
        served: The models' ids.
        lost: Called when the engine, or the server, is gone.
    """

    async def handle(job: Job) -> AsyncGenerator[Any, None]:
        try:
            async with backend.ask(asked := read(job, served)) as answer:
                if answer.streamed:
                    async for piece in _events(answer.pieces, asked.raw, lost):
                        yield piece
                else:
                    whole = json.loads(b"".join([piece async for piece in answer.pieces]))
                    yield whole if answer.status < 400 else _failure(whole["error"], lost)
        except ApiError as error:
            yield _failure(error.body()["error"], lost)
        except ConnectionError:
            gone = {"message": "The server of this worker is gone.", "type": "server_error", "code": _LOST}
            yield _failure({**gone, "param": None}, lost)
        except Exception:
            logger.exception("job %s broke", job.get("id"))
            yield _failure(internal().body()["error"], lost)

    return handle


async def _events(
    pieces: AsyncIterator[bytes], raw: bool, lost: Callable[[], None]
) -> AsyncGenerator[Any, None]:
    """Yield whole events: as they are, or what they say."""
    pending = b""
    async for piece in pieces:
        whole, ends, pending = (pending + piece).rpartition(_EVENT_ENDS)
        events = whole.split(_EVENT_ENDS) if ends else []
        for event in events:
            if event.startswith(_ERROR):
                failure = _failure(json.loads(event.removeprefix(_DATA))["error"], lost)
                if not raw:
                    yield failure
                    return
        if raw and events:
            yield (whole + ends).decode()
        elif not raw:
            for event in events:
                if event.startswith(_DATA) and event != _DONE:
                    yield json.loads(event.removeprefix(_DATA))


def _failure(error: Mapping[str, Any], lost: Callable[[], None]) -> dict[str, ErrorObject]:
    if error.get("code") == _LOST:
        lost()
    return {"error": ErrorObject(error)}
