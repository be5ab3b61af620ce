"""HTTP to an engine's server: requests, events as they come, and what its refusals mean to us.

Bodies are read as fast as they are taken and no faster: a slow reader holds the engine's socket, not our memory.
There is no time limit on an answer: whether an engine still works is judged by its progress, elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp

from gpu_server.engines.base import EngineError, EngineLost, PromptRefused, PromptTooLong, SchemaRefused

CONNECT_S = 10.0
MAX_EVENT_BYTES = 8 * 1024 * 1024
_READ_BYTES = 64 * 1024
_MAX_REASON_CHARS = 500

_TOO_LONG = re.compile(
    r"context (?:length|window|size)|longer than the model|maximum (?:model )?length|max_model_len|n_ctx"
    r"|too many tokens|exceeds? the (?:available )?context",
    re.IGNORECASE,
)
_SCHEMA = re.compile(r"grammar|json[ _]?schema|response_format|guided|structured[ _]output", re.IGNORECASE)
_TEMPLATE = re.compile(r"chat[ _]template|jinja|conversation roles|template", re.IGNORECASE)


class Answered(EngineError):
    """The server answered with an error.

    Attributes:
        status: The HTTP status.
        message: The server's own words, shortened.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the engine's server answered {status}: {message}")
        self.status = status
        self.message = message


class Wire:
    """Connections to one server. Made and closed inside the event loop.

    Args:
        url: Without a path, as in `http://127.0.0.1:30000`.
        key: Sent as a bearer token.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self._running: set[aiohttp.ClientResponse] = set()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            read_bufsize=_READ_BYTES,
        )

    async def close(self) -> None:
        """Break off what runs, with `EngineLost`, and close every connection."""
        for response in list(self._running):
            response.close()  # wakes its reader, which closing the session does not
        await self._session.close()

    async def get(self, path: str, *, timeout_s: float) -> str:
        """Return the text of a page.

        Raises:
            Answered: With a status of 400 or above.
            EngineLost: Nobody answers, or not in time.
        """
        async with self._open("GET", path, None, timeout_s) as response:
            return await response.text()

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Return what the JSON of an answer says, None when it is empty. Raises as `get` does."""
        async with self._open("POST", path, body, timeout_s) as response:
            text = await response.text()
        return parse(text) if text else None

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[list[Any], None]:
        """Yield the events of an answer in the bursts in which they arrive.

        Raises:
            Answered: Before or in the midst of the answer.
            EngineLost: The connection breaks before the end.
        """
        async with (
            self._open("POST", path, body, None) as response,
            aclosing(_lines(response.content)) as batches,
        ):
            async for lines in batches:
                data = [line[5:].strip() for line in lines if line.startswith(b"data:")]
                burst = [parse(text) for text in data if text != b"[DONE]"]
                for event in burst:
                    if isinstance(event, dict) and (error := event.get("error")):
                        raise Answered(_status(error), reason(error))
                if burst:
                    yield burst
                if b"[DONE]" in data:
                    return
        raise EngineLost("the engine's answer broke off")

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session.closed:
            raise EngineLost("the connections to the engine's server are closed")
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, self.url + path, json=body) as response,
            ):
                if response.status >= 400:
                    raise Answered(response.status, reason(await response.text()))
                self._running.add(response)
                try:
                    yield response
                except BaseException:
                    response.close()  # an unread answer ends its connection, and with it the sequence
                    raise
                finally:
                    self._running.discard(response)
        except aiohttp.ClientError as error:
            raise EngineLost(f"the engine's server does not answer: {_first_line(error)}") from error
        except TimeoutError as error:
            raise EngineLost(f"the engine's server did not answer within {timeout_s} s") from error


def meaning(error: Answered, *, constrained: bool) -> Exception:
    """Return the error in the engines' terms; itself when it is a failure and no refusal.

    Args:
        error: What the server answered.
        constrained: Whether the request had a schema.
    """
    if error.status not in (400, 413, 422):
        return error
    if _TOO_LONG.search(error.message):
        return PromptTooLong(error.message)
    if constrained and _SCHEMA.search(error.message):
        return SchemaRefused(error.message)
    if _TEMPLATE.search(error.message):
        return PromptRefused(error.message)
    return error


def reason(error: object) -> str:
    """Return the words in an error body, whichever of the usual forms it has."""
    found = error
    if isinstance(found, str):
        with contextlib.suppress(ValueError):
            found = json.loads(found)
    for _ in range(2):
        if isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail") or "no reason given"
    return str(found)[:_MAX_REASON_CHARS]


def parse(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        EngineError: It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EngineError("the engine's server sent what is no JSON") from error


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[list[bytes], None]:
    """Yield the whole lines of each read."""
    held = b""
    async for read in content.iter_any():
        *lines, held = (held + read).split(b"\n")
        if len(held) > MAX_EVENT_BYTES:
            raise EngineError(f"the engine's server sent a line of over {MAX_EVENT_BYTES} bytes")
        if lines:
            yield lines


def _status(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
