"""One request to one replica over HTTP, in OpenAI's form. Chooses no replica and repeats nothing.

A connection that cannot be made is ``NoReplica``; one that breaks after the request was sent is ``ReplicaLost``.
Deadlines are the caller's cancel scopes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from conduit import telemetry
from conduit.errors import ConduitError, NoReplica, ReplicaLost, RequestRefused
from conduit.lmlite.replicas.answer import (
    Answer,
    ConnectFailed,
    ConnectionBroken,
    ConnectionProblem,
    header,
    whole,
)
from conduit.lmlite.replicas.completion import Completion
from conduit.lmlite.replicas.connections import Connections, Transport
from conduit.lmlite.replicas.pool import Replica
from conduit.lmlite.replicas.refusals import by_proxy, refusal
from conduit.lmlite.request import LMReply, LMRequest

_FIRST_TOKEN = b"x-first-token-ms"
_PROBE_TIMEOUT_S = 2.0
_END_TIMEOUT_S = 0.2
_OWN_FAULT_PAUSE_S = 0.5  # until other requests may have given their connections back
_NO_CHAT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


@dataclass(frozen=True)
class Loading:
    """How far a model's start is.

    Attributes:
        stage: ``download``, ``load`` or ``warm``.
        done_bytes: Of this stage, where it counts.
        total_bytes: Of this stage; ``None`` where it is not known.
    """

    stage: str
    done_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class Readiness:
    """What a replica says of itself.

    Attributes:
        reachable: It answered at all.
        absent: A proxy answered in its place.
        ready: All of its models can take requests; an answer that does not name them is not ready.
        models: For each model id ``starting``, ``ready``, ``busy`` or ``failed``.
        reasons: For each model id that has one, why.
        status: Of its answer.
        progress: For each model id a number that grows while its engine works.
        loading: For each model id that is being started, how far it is.
        draining: It finishes what runs and takes nothing more.
        refused: Nothing takes connections at its address.
        unknown: It could not be asked, for reasons of this process.
    """

    reachable: bool
    absent: bool = False
    ready: bool = False
    models: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    progress: dict[str, int] = field(default_factory=dict)
    loading: dict[str, Loading] = field(default_factory=dict)
    draining: bool = False
    refused: bool = False
    unknown: bool = False


class Client:
    """The connections to all replicas, on one event loop."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport = transport or Connections()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.transport.aclose()

    async def complete(self, replica: Replica, request: LMRequest) -> LMReply:
        """Sends the request and waits for the whole answer."""
        with _span(replica):
            try:
                answer = await self._send(replica, request, stream=False)
                try:
                    content = await whole(answer)
                finally:
                    answer.close()
            except ConnectionProblem as problem:
                raise problem_with(replica, request.model_id, problem) from problem
            if answer.status != 200:
                raise _refused(answer, content, replica, request)
            completion = Completion()
            try:
                completion.whole(json.loads(content))
            except _NO_CHAT as error:
                raise _no_chat(replica, request, content) from error
            return completion.reply(replica.node_id, first_token_s=_first_token_s(answer))

    async def stream(
        self, replica: Replica, request: LMRequest, emit: Callable[[str], Awaitable[None]]
    ) -> LMReply:
        """Sends the request and hands each piece of text to ``emit`` as it comes; reads no further meanwhile."""
        completion, sent_at = Completion(), time.monotonic()
        first_token_s: float | None = None
        with _span(replica):
            async with aclosing(self._events(replica, request)) as events:
                async for data in events:
                    text = _taken(completion, data, replica, request)
                    if first_token_s is None and completion.begun:
                        first_token_s = time.monotonic() - sent_at
                    if text:
                        await emit(text)
        return completion.reply(replica.node_id, first_token_s=first_token_s)

    async def _events(self, replica: Replica, request: LMRequest) -> AsyncGenerator[bytes, None]:
        """The data of each event before ``[DONE]``."""
        try:
            answer = await self._send(replica, request, stream=True)
            try:
                if answer.status != 200:
                    raise _refused(answer, await whole(answer), replica, request)
                rest = b""
                while True:
                    piece = await answer.piece()
                    *lines, rest = (rest + (piece or b"\n")).split(b"\n")
                    for line in lines:
                        if not line.startswith(b"data:"):
                            continue
                        if (data := line[5:].strip()) == b"[DONE]":
                            await _end(answer)
                            return
                        yield data
                    if not piece:
                        raise ConnectionBroken("its stream ended before [DONE]")
            finally:
                answer.close()
        except ConnectionProblem as problem:
            raise problem_with(replica, request.model_id, problem) from problem

    async def readiness(self, replica: Replica) -> Readiness:
        """Asks the replica how it is; never raises for what it answers or does not."""
        if replica.elastic:
            return Readiness(reachable=True, ready=True)
        try:
            with anyio.fail_after(_PROBE_TIMEOUT_S):
                status, content = await self._get(replica, "/ready")
        except ConnectFailed as error:
            return Readiness(reachable=False, refused=not error.own_fault, unknown=error.own_fault)
        except (TimeoutError, ConnectionBroken):
            return Readiness(reachable=False)
        try:
            body = json.loads(content)
            models = {model["model_id"]: model for model in body["models"]}
            progress = {name: int(model.get("progress") or 0) for name, model in models.items()}
            states = {name: str(model["state"]) for name, model in models.items()}
            reasons = {name: str(model["reason"]) for name, model in models.items() if model.get("reason")}
            loading = {
                name: _loading(model["loading"]) for name, model in models.items() if model.get("loading")
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return Readiness(reachable=True, absent=by_proxy(status, content), status=status)
        ready = status == 200 and bool(states)
        return Readiness(
            reachable=True,
            ready=ready,
            models=states,
            reasons=reasons,
            status=status,
            progress=progress,
            loading=loading,
            draining=bool(body.get("draining")),
        )

    async def use(self, replica: Replica) -> None:
        """Lets the replica's idle limit count anew: its list of models counts as use, unlike its readiness."""
        if replica.elastic:
            return
        with anyio.move_on_after(_PROBE_TIMEOUT_S):
            try:
                await self._get(replica, "/v1/models")
            except (ConnectFailed, ConnectionBroken):
                return

    async def _get(self, replica: Replica, path: str) -> tuple[int, bytes]:
        answer = await self.transport.send(replica, "GET", path, {})
        try:
            return answer.status, await whole(answer)
        finally:
            answer.close()

    def _send(self, replica: Replica, request: LMRequest, *, stream: bool) -> Coroutine[Any, Any, Answer]:
        headers = {
            "content-type": "application/json",
            "x-request-id": request.request_id,
            "x-conduit-caller": _this_program(),
            **telemetry.trace_headers(),
        }
        body = json.dumps(_payload(request, stream=stream), separators=(",", ":")).encode()
        return self.transport.send(replica, "POST", "/v1/chat/completions", headers, body)


def _loading(said: Mapping[str, Any]) -> Loading:
    done, total = said.get("done_bytes"), said.get("total_bytes")
    return Loading(
        str(said["stage"]), None if done is None else int(done), None if total is None else int(total)
    )


def _first_token_s(answer: Answer) -> float | None:
    """As the server measured it; another one than Conduit's does not tell."""
    said = header(answer, _FIRST_TOKEN)
    if said is None:
        return None
    try:
        first_token_s = float(said) / 1000
    except ValueError:
        return None
    return first_token_s if math.isfinite(first_token_s) and first_token_s >= 0 else None


def _this_program() -> str:
    """Whose requests these are, where several programs share a replica."""
    return f"conduit-{os.getpid()}"


def _payload(request: LMRequest, *, stream: bool) -> dict[str, Any]:
    sampling = request.sampling
    optional = {
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "top_p": sampling.top_p,
        "response_format": request.response_format,
        "service_tier": "flex" if request.flex else None,
    }
    payload: dict[str, Any] = {
        "model": request.model_id,
        "messages": request.messages,
        "temperature": sampling.temperature,
        **{name: value for name, value in optional.items() if value is not None},
    }
    return payload | {"stream": True, "stream_options": {"include_usage": True}} if stream else payload


async def _end(answer: Answer) -> None:
    """Takes a stream's last bytes, if they come at once: its connection can then be used again."""
    with anyio.move_on_after(_END_TIMEOUT_S), suppress(ConnectionBroken):
        await whole(answer)


def problem_with(replica: Replica, model_id: str, problem: ConnectionProblem) -> NoReplica | ReplicaLost:
    """What happened to a connection, as the error of a call: the request was not sent, or its answer was cut."""
    if isinstance(problem, ConnectFailed):
        return NoReplica(
            f"Replica {replica.node_id} at {replica.url} takes no connection: {problem}.",
            hint=f"Its log: {replica.log}.",
            model_id=model_id,
            retry_after_s=_OWN_FAULT_PAUSE_S if problem.own_fault else None,
        )
    return ReplicaLost(
        f"Replica {replica.node_id} went away while it answered for {model_id}: {problem}.",
        hint=f"Its log: {replica.log}.",
        model_id=model_id,
        replica=replica.node_id,
    )


def _span(replica: Replica) -> telemetry.Span:
    return telemetry.span("attempt", **{"conduit.replica": replica.node_id})


def _refused(answer: Answer, body: bytes, replica: Replica, request: LMRequest) -> ConduitError:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return refusal(answer.status, body, headers, model_id=request.model_id, replica=replica.node_id)


def _taken(completion: Completion, data: bytes, replica: Replica, request: LMRequest) -> str:
    try:
        event = json.loads(data)
        failed = bool(event.get("error"))
        text = "" if failed else completion.event(event)
    except _NO_CHAT as error:
        raise _no_chat(replica, request, data) from error
    if failed:
        raise refusal(500, data, {}, model_id=request.model_id, replica=replica.node_id)
    return text


def _no_chat(replica: Replica, request: LMRequest, body: bytes) -> RequestRefused:
    return RequestRefused(
        f"Replica {replica.node_id} answered with something that is no chat completion: {body[:200]!r}.",
        hint="Another program may listen at its address; lm.restart() starts it anew.",
        model_id=request.model_id,
        status=200,
    )
