"""Replicas in memory: an httpx transport that stands for the servers of a FakeProvider's nodes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import httpx

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


class Replicas(httpx.AsyncBaseTransport):
    """Answers `/ready` for nodes that live and hands chat requests to `answer(node_id, request)`."""

    def __init__(self, provider: FakeProvider, answer: Answer | None = None) -> None:
        self.provider = provider
        self.answer = answer or (lambda node_id, _: completion(f"from {node_id}"))
        self.asked: list[tuple[str, dict]] = []
        self.used: list[str] = []
        self.not_ready: dict[str, dict] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        node_id = request.url.host
        view = self.provider.nodes.get(node_id)
        if view is None or not view.alive:
            raise httpx.ConnectError("refused")
        if request.url.path == "/ready":
            states = self.not_ready.get(node_id)
            models = states or {"m": {"state": "ready"}}
            body = {"models": [{"model_id": name, **state} for name, state in models.items()]}
            return httpx.Response(503 if states else 200, json=body)
        if request.url.path == "/v1/models":
            self.used.append(node_id)
            return httpx.Response(200, json={"data": []})
        self.asked.append((node_id, json.loads(request.content)))
        answered = self.answer(node_id, request)
        return answered if isinstance(answered, httpx.Response) else await answered
