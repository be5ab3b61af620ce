"""Replicas in memory: a transport that stands for the servers of a FakeProvider's nodes.

What they answer is written as `httpx.Response`, and what goes wrong as httpx's errors: both are well known and say
all that is needed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx

from conduit.lmlite.replicas.answer import ConnectFailed, ConnectionBroken, Header
from conduit.lmlite.replicas.pool import Replica
from conduit.testing import FakeProvider

Answer = Callable[[str, httpx.Request], "httpx.Response | Awaitable[httpx.Response]"]


def completion(text: str, *, reason: str = "stop") -> httpx.Response:
    return httpx.Response(
        200,
        json={
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        },
    )


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> httpx.Response:
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class InMemory:
    """The answer to one request."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: list[Header] = [(name.lower(), value) for name, value in response.headers.raw]
        self._response = response
        self._pieces = response.aiter_raw() if not hasattr(response, "_content") else None
        self._rest = b"" if self._pieces else response.content
        self.closed = False

    async def piece(self) -> bytes:
        if self._pieces is None:
            found, self._rest = self._rest, b""
            return found
        try:
            return await anext(self._pieces, b"")
        except httpx.TransportError as broken:
            raise ConnectionBroken(str(broken)) from broken

    def close(self) -> None:
        self.closed = True


class Replicas:
    """Answers `/ready` for nodes that live and hands other requests to `answer(node_id, request)`."""

    def __init__(self, provider: FakeProvider, answer: Answer | None = None) -> None:
        self.provider = provider
        self.answer = answer or (lambda node_id, _: completion(f"from {node_id}"))
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[httpx.Request] = []
        self.used: list[str] = []
        self.not_ready: dict[str, dict[str, Any]] = {}
        self.ready: httpx.Response | None = None  # the answer to every `/ready`

    async def send(
        self,
        replica: Replica,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> InMemory:
        content = body if isinstance(body, bytes) else b"".join([part async for part in body])
        token = {"authorization": f"Bearer {replica.token.get_secret_value()}"}
        request = httpx.Request(method, replica.url + path, headers={**headers, **token}, content=content)
        try:
            return InMemory(await self._respond(request))
        except (httpx.ConnectError, httpx.ConnectTimeout) as failed:
            raise ConnectFailed(str(failed)) from failed
        except httpx.TransportError as broken:
            raise ConnectionBroken(str(broken)) from broken

    async def aclose(self) -> None:
        pass

    async def _respond(self, request: httpx.Request) -> httpx.Response:
        node_id = request.url.host
        view = self.provider.nodes.get(node_id)
        if view is None or not view.alive:
            raise httpx.ConnectError("refused")
        if request.url.path == "/ready":
            if self.ready is not None:
                return self.ready
            states = self.not_ready.get(node_id)
            models = states or {"m": {"state": "ready"}}
            body = {"models": [{"model_id": name, **state} for name, state in models.items()]}
            return httpx.Response(503 if states else 200, json=body)
        if request.url.path == "/v1/models":
            self.used.append(node_id)
            return httpx.Response(200, json={"data": []})
        self.requests.append(request)
        self.asked.append((node_id, json.loads(request.content)))
        answered = self.answer(node_id, request)
        return answered if isinstance(answered, httpx.Response) else await answered
