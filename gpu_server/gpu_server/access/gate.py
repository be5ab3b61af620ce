"""What every request passes first: an id, the token, the limits; and what every answer passes last: the record.

A plain ASGI layer around the routes. It reads the body itself, within a size and a time, so that no route can
forget to, and turns every `ApiError` into OpenAI's form. What slow and broken connections do is `connection`'s.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from contextlib import nullcontext

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpu_server import errors
from gpu_server.access.auth import BearerAuth
from gpu_server.access.body import BodyInParts, discard, read_body
from gpu_server.access.rate_limit import RateLimit
from gpu_server.access.record import CALLER_LEFT, RequestRecord
from gpu_server.access.watchdog import Watchdog
from gpu_server.settings import ServerSettings

logger = logging.getLogger(__name__)

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
BATCH_PATH = "/v1/batch"
_DRAINING_RETRY_AFTER_S = 5
_GOOD_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NOT_USE = frozenset({"/live", "/ready", "/metrics"})


class Gate:
    """Wraps the routes.

    Args:
        app: The routes.
        settings: The limits.
        auth: Checks the token.
        rate_limit: Checks how often it comes.
        watchdog: Told of every request that is use; probes and scrapes are not.
        draining: Whether nothing new is taken any more.
        ended: Called with the record of every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServerSettings,
        auth: BearerAuth,
        rate_limit: RateLimit,
        watchdog: Watchdog,
        draining: Callable[[], bool],
        ended: Callable[[RequestRecord], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._auth = auth
        self._rate_limit = rate_limit
        self._watchdog = watchdog
        self._draining = draining
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its record is in `scope["state"]["record"]`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        record = RequestRecord(
            id=given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex,
            method=scope["method"],
            traceparent=headers.get("traceparent", ""),
        )
        scope.setdefault("state", {})["record"] = record
        status, whole = 0, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                headers_out = MutableHeaders(scope=message)
                headers_out["x-request-id"] = record.id
                if record.first_token_s is not None and not record.stream:  # who reads a stream sees it
                    headers_out["x-first-token-ms"] = f"{record.first_token_s * 1000:.1f}"
            else:
                whole = not message.get("more_body", False)
            await send(message)

        try:
            try:
                self._let_in(scope, headers, record)
            except errors.ApiError:
                await discard(receive)
                raise
            with nullcontext() if scope["path"] in _NOT_USE else self._watchdog.busy():
                await self._serve(scope, receive, send_with_id, headers)
        except errors.ApiError as error:
            record.code = error.code
            await error.response()(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s broke", record.id)
            broke = errors.internal()
            record.status, record.code = broke.status, broke.code
            if status and not whole:
                raise  # the answer has begun: only a broken connection can tell the caller
            if not status:
                await broke.response()(scope, receive, send_with_id)
        finally:
            record.route = getattr(scope.get("route"), "path", "")
            record.total_s = record.elapsed_s
            record.status = record.status or status or CALLER_LEFT
            self._ended(record)
            if scope["path"] not in _NOT_USE:
                record.log()

    def _let_in(self, scope: Scope, headers: Headers, record: RequestRecord) -> None:
        """Check all that can be checked before the body.

        Raises:
            ApiError: 401, 429, 431 or 503.
        """
        if (
            len(scope["headers"]) > MAX_HEADERS
            or sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES
        ):
            raise errors.headers_too_large(MAX_HEADER_BYTES, MAX_HEADERS)
        record.token_number = self._auth.check(scope["path"], _authorization(scope))
        record.caller = headers.get("x-conduit-caller", "")
        if scope["path"] not in _NOT_USE:
            self._rate_limit.take(record.token_number)
            if self._draining():
                raise errors.draining(_DRAINING_RETRY_AFTER_S)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        settings = self._settings
        declared = headers.get("content-length", "0")
        length = int(declared) if declared.isdigit() else 0
        if scope["path"] == BATCH_PATH:
            # Rows are worked on while others are still being sent; the route reads, within the same limits.
            parts = BodyInParts(receive, length, settings.max_batch_bytes, settings.body_timeout_s)
            await self._app(scope, parts, send)
            return
        body = await read_body(receive, length, settings.max_body_bytes, settings.body_timeout_s)
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


def _authorization(scope: Scope) -> bytes | None:
    """Return the header as bytes: a token that is not text must not break the comparison."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0] if found else None
