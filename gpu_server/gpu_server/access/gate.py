"""What every request passes first: an id, the token, the size limit; and what every answer passes last: the count.

A plain ASGI layer around the routes. It reads the body itself, within a size and a time, so that no route can
forget to, and turns every `ApiError` into OpenAI's form.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable
from contextlib import nullcontext, suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpu_server import errors
from gpu_server.access.auth import BearerAuth
from gpu_server.access.watchdog import Watchdog

logger = logging.getLogger(__name__)

BODY_TIMEOUT_S = 30.0
MAX_HEADER_BYTES = 32 * 1024
MAX_HEAD_BYTES = 8 * MAX_HEADER_BYTES  # beyond it the web server itself ends the connection, without a reason
_REFUSED_BYTES = 1024 * 1024
_REFUSED_TIMEOUT_S = 2.0
_DISCARD_BYTES = 64 * 1024 * 1024
_GOOD_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NOT_USE = frozenset({"/live", "/ready", "/metrics"})


class Gate:
    """Wraps the routes.

    Args:
        app: The routes.
        auth: Checks the token.
        watchdog: Told of every request that is use; probes and scrapes are not.
        max_body_bytes: Largest body.
        answered: Called with the model's id (or "") and the status of every answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: BearerAuth,
        watchdog: Watchdog,
        max_body_bytes: int,
        answered: Callable[[str, int], None],
    ) -> None:
        self._app = app
        self._auth = auth
        self._watchdog = watchdog
        self._max_body_bytes = max_body_bytes
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"], state["model"], state["left"] = request_id, "", False
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            try:
                _check_size(scope)
                self._auth.check(scope["path"], _authorization(scope))
            except errors.ApiError:
                await _discard(receive)
                raise
            with nullcontext() if scope["path"] in _NOT_USE else self._watchdog.busy():
                await self._serve(scope, receive, send_with_id, headers)
        except errors.ApiError as error:
            await error.response()(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s broke", request_id)
            if status:
                raise  # the answer has begun: only a broken connection can tell the caller
            broke = errors.ApiError(
                500, "The server failed on this request.", kind="server_error", code="internal"
            )
            await broke.response()(scope, receive, send_with_id)
        finally:
            self._answered(state["model"], 499 if state["left"] or not status else status)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        declared = headers.get("content-length", "0")
        too_large = declared.isdigit() and int(declared) > self._max_body_bytes
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await self._read(receive, too_large=too_large)
        except TimeoutError:
            raise errors.body_too_slow(BODY_TIMEOUT_S) from None
        if body is None:
            return  # the caller left
        sent = False

        async def receive_body() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_body, send)

    async def _read(self, receive: Receive, *, too_large: bool) -> bytes | None:
        """Return the body, or None when the caller left.

        A body that is too large is still taken in for a while, unseen: a caller that is writing does not read, and
        would see a broken connection in place of the reason.
        """
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            too_large = too_large or size > self._max_body_bytes
            if too_large:
                chunks.clear()
            else:
                chunks.append(chunk)
            if not message.get("more_body", False) or size > _DISCARD_BYTES:
                break
        if too_large:
            raise errors.body_too_large(self._max_body_bytes)
        return b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Takes in what a refused caller is still writing, within bounds: until it has written it does not read."""
    size, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_REFUSED_TIMEOUT_S):
            while more and size <= _REFUSED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)


def _check_size(scope: Scope) -> None:
    """Bound the head of the request: the web server bounds only heads that arrive in pieces."""
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        raise errors.headers_too_large(MAX_HEADER_BYTES)


def _authorization(scope: Scope) -> bytes | None:
    """Return the header as bytes: a token that is not text must not break the comparison."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0] if found else None
