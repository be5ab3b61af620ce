"""One request to one replica over HTTP, in OpenAI's form. Chooses no replica and repeats nothing.

A connection that cannot be made is ``NoReplica``; one that breaks after the request was sent is ``ReplicaLost``.
Deadlines are the caller's cancel scopes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from conduit.errors import ConduitError, NoReplica, ReplicaLost, RequestRefused
from conduit.lmlite.replicas.completion import Completion
from conduit.lmlite.replicas.lanes import Lanes
from conduit.lmlite.replicas.pool import Replica
from conduit.lmlite.replicas.refusals import refusal
from conduit.lmlite.request import LMReply, LMRequest

_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 2.0
_NO_CHAT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


@dataclass(frozen=True)
class Readiness:
    """What a replica says of itself.

    Attributes:
        reachable: It answered at all.
        ready: All of its models are ready.
        models: For each model id ``starting``, ``ready`` or ``failed``.
        reasons: For each failed model id, why.
        status: Of its answer.
    """

    reachable: bool
    ready: bool = False
    models: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    status: int | None = None


class Client:
    """The connections to all replicas, on one event loop."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            transport=transport or Lanes(), timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        )

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def complete(self, replica: Replica, request: LMRequest) -> LMReply:
        """Sends the request and waits for the whole answer."""
        async with _connection(replica, request):
            response = await self._http.send(self._request(replica, request, stream=False))
        if response.status_code != 200:
            raise _refused(response, response.content, replica, request)
        completion = Completion()
        try:
            completion.whole(json.loads(response.content))
        except _NO_CHAT as error:
            raise _no_chat(replica, request, response.content) from error
        return completion.reply(replica.node_id)

    async def stream(self, replica: Replica, request: LMRequest, emit: Callable[[str], None]) -> LMReply:
        """Sends the request and hands each piece of text to ``emit`` as it comes."""
        completion, done = Completion(), False
        http_request = self._request(replica, request, stream=True)
        async with _connection(replica, request):
            response = await self._http.send(http_request, stream=True)
            try:
                if response.status_code != 200:
                    raise _refused(response, await response.aread(), replica, request)
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    if (data := line[5:].strip()) == "[DONE]":
                        done = True
                        break
                    if text := _taken(completion, data, replica, request):
                        emit(text)
            finally:
                await response.aclose()
        if not done:
            raise _lost(replica, request, "its stream ended before [DONE]")
        return completion.reply(replica.node_id)

    async def readiness(self, replica: Replica) -> Readiness:
        """Asks the replica how it is; never raises for what it answers or does not."""
        try:
            with anyio.fail_after(_PROBE_TIMEOUT_S):
                response = await self._http.get(f"{replica.url}/ready", headers=_authorization(replica))
        except (TimeoutError, httpx.HTTPError):
            return Readiness(reachable=False)
        try:
            models = {model["model_id"]: model for model in json.loads(response.content)["models"]}
            states = {name: str(model["state"]) for name, model in models.items()}
            reasons = {name: str(model["reason"]) for name, model in models.items() if model.get("reason")}
        except (ValueError, KeyError, TypeError, AttributeError):
            return Readiness(reachable=True, status=response.status_code)
        ready = response.status_code == 200
        return Readiness(True, ready, states, reasons, response.status_code)

    async def use(self, replica: Replica) -> None:
        """Lets the replica's idle limit count anew: its list of models counts as use, unlike its readiness."""
        with anyio.move_on_after(_PROBE_TIMEOUT_S), suppress(httpx.HTTPError):
            await self._http.get(f"{replica.url}/v1/models", headers=_authorization(replica))

    def _request(self, replica: Replica, request: LMRequest, *, stream: bool) -> httpx.Request:
        return self._http.build_request(
            "POST",
            f"{replica.url}/v1/chat/completions",
            content=json.dumps(_payload(request, stream=stream), separators=(",", ":")).encode(),
            headers={
                "content-type": "application/json",
                "x-request-id": request.request_id,
                **_authorization(replica),
            },
        )


def _authorization(replica: Replica) -> dict[str, str]:
    return {"authorization": f"Bearer {replica.token.get_secret_value()}"}


def _payload(request: LMRequest, *, stream: bool) -> dict[str, Any]:
    sampling = request.sampling
    optional = {
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "top_p": sampling.top_p,
        "response_format": request.response_format,
    }
    payload: dict[str, Any] = {
        "model": request.model_id,
        "messages": request.messages,
        "temperature": sampling.temperature,
        **{name: value for name, value in optional.items() if value is not None},
    }
    return payload | {"stream": True, "stream_options": {"include_usage": True}} if stream else payload


@asynccontextmanager
async def _connection(replica: Replica, request: LMRequest) -> AsyncIterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NoReplica(
            f"Replica {replica.node_id} at {replica.url} takes no connection: {error or type(error).__name__}.",
            hint=f"Its log: {replica.log}.",
            model_id=request.model_id,
        ) from error
    except httpx.TransportError as error:
        raise _lost(replica, request, str(error) or type(error).__name__) from error


def _lost(replica: Replica, request: LMRequest, what: str) -> ReplicaLost:
    return ReplicaLost(
        f"Replica {replica.node_id} went away while it answered for {request.model_id}: {what}.",
        hint=f"Its log: {replica.log}.",
        model_id=request.model_id,
        replica=replica.node_id,
    )


def _refused(response: httpx.Response, body: bytes, replica: Replica, request: LMRequest) -> ConduitError:
    return refusal(
        response.status_code,
        body,
        response.headers,
        model_id=request.model_id,
        replica=replica.node_id,
    )


def _taken(completion: Completion, data: str, replica: Replica, request: LMRequest) -> str:
    try:
        event = json.loads(data)
        failed = bool(event.get("error"))
        text = "" if failed else completion.event(event)
    except _NO_CHAT as error:
        raise _no_chat(replica, request, data.encode()) from error
    if failed:
        raise refusal(500, data.encode(), {}, model_id=request.model_id, replica=replica.node_id)
    return text


def _no_chat(replica: Replica, request: LMRequest, body: bytes) -> RequestRefused:
    return RequestRefused(
        f"Replica {replica.node_id} answered with something that is no chat completion: {body[:200]!r}.",
        hint="Another program may listen at its address; lm.restart() starts it anew.",
        model_id=request.model_id,
        status=200,
    )
