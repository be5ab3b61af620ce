"""The way in, the same for every operation: key, rate limit, faults, and problem documents for what is refused."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.faults import AFTER, Fault
from conduit.sim.runpod.problems import NO_CAPACITY, Problem

Handler = Callable[[State, Request], Awaitable[Response]]
ABORT = "conduit.sim.abort"  # the extension of the scope by which a connection is cut

_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_DETAILS = {
    401: "invalid API key",
    402: "insufficient balance: add credit to your account",
    403: "access denied to the requested pool",
    429: "rate limit exceeded",
    500: "upstream failure",
}
# What a pod's own key may be used for, and only on that pod.
_OWN = frozenset({"get", "delete", "action", "logs"})
# Names of their own stand in no fault: it fits by GPU and name where the handler knows them.
_FITS_LATER = frozenset({"create", "endpoint-create"})


@dataclass(frozen=True)
class Operation:
    """One method of a path: its name for faults and counters, and what it does."""

    name: str
    handler: Handler


class Gate:
    """Lets requests through to their operation, or not."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._window = 0
        self._used: Counter[str] = Counter()

    def route(self, operations: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a path, from the operation of each method."""

        async def answer(request: Request) -> Response:
            # The server answers HEAD as GET, without a body.
            operation = operations["GET" if request.method == "HEAD" else request.method]
            headers: dict[str, str] = {}
            try:
                key = self._authorize(request, operation)
                headers = self._limit(key)
                response = await self._carry_out(request, operation)
            except Problem as problem:
                self._refused(operation.name, problem)
                response = problem.answer()
            response.headers.update({n: v for n, v in headers.items() if n not in response.headers})
            return response

        return answer

    def _authorize(self, request: Request, operation: Operation) -> str:
        key = _shown(request)
        pod = self._state.cloud.by_key(key)
        if pod is None:
            return authorized(self._state, request)
        if operation.name not in _OWN or request.path_params.get("id") != pod.id:
            raise Problem(403, "this key belongs to a pod and is good for that pod alone")
        return key

    def _limit(self, key: str) -> dict[str, str]:
        allowed = self._state.options.requests_per_minute
        if allowed is None:
            return {}
        window, into = divmod(time.time(), 60)
        if int(window) != self._window:
            self._window = int(window)
            self._used.clear()
        self._used[key] += 1
        left, resets = allowed - self._used[key], int(60 - into) + 1
        headers = {
            "RateLimit": f'"minute";r={max(0, left)};t={resets}',
            "RateLimit-Policy": f'"minute";q={allowed};w=60',
        }
        if left < 0:
            raise Problem(429, _DETAILS[429], headers={**headers, "Retry-After": str(resets)})
        return headers

    async def _carry_out(self, request: Request, operation: Operation) -> Response:
        self._state.events.requests[operation.name] += 1
        if operation.name in _FITS_LATER:
            # The body says which GPU and name it is about; a fault may wait for these alone.
            fault = self._state.faults.take(operation.name, **await _subject(request))
        else:
            fault = self._state.faults.take(operation.name)
        if fault is None:
            return await operation.handler(self._state, request)
        self._state.events.tell("fault", f"{fault.kind} for {request.method} {request.url.path}")
        if fault.kind not in AFTER:
            instead = await _before(request, fault)
            return instead or await operation.handler(self._state, request)
        return await _after(request, fault, await operation.handler(self._state, request))

    def _refused(self, name: str, problem: Problem) -> None:
        if name in _FITS_LATER:
            self._state.events.tell("refused", f"{name}: {problem.status} {problem.detail}")


def authorized(state: State, request: Request) -> str:
    """The account's key, as the request shows it.

    Raises:
        Problem: It shows none, or another one.
    """
    key = _shown(request)
    if not hmac.compare_digest(key.encode(), state.options.api_key.encode()):
        raise Problem(401, "invalid API key")
    return key


def _shown(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Problem(401, "missing bearer token")
    return key


async def _subject(request: Request) -> dict[str, str | None]:
    try:
        body = await request.json()
        gpu = body.get("gpu") or {}
        return {"gpu": gpu.get("id"), "name": body.get("name")}
    except (ValueError, AttributeError):
        return {"gpu": None, "name": None}


async def _before(request: Request, fault: Fault) -> Response | None:
    """The answer in place of the operation; None to go on with it."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds or 0.0)
        return None
    if fault.kind == "stall":
        return await _hang(request, fault, Problem(504, "upstream timed out").answer())
    if fault.kind == "no-capacity":
        raise Problem(400, NO_CAPACITY)
    if fault.kind.isdigit():
        status = int(fault.kind)
        headers = {"Retry-After": str(fault.retry_after)} if status == 429 else {}
        raise Problem(status, _DETAILS.get(status, "request could not be processed"), headers=headers)
    return _spoilt(request, fault.kind)


async def _after(request: Request, fault: Fault, done: Response) -> Response:
    """What comes in place of the answer of an operation that was carried out."""
    kind = fault.kind.removesuffix("-after")
    if kind == "hang":
        return await _hang(request, fault, done)
    if kind.isdigit():
        return Problem(int(kind), _DETAILS.get(int(kind), "upstream failure")).answer()
    return _spoilt(request, kind)


def _spoilt(request: Request, kind: str) -> Response:
    if kind == "html":
        return HTMLResponse(_HTML, 502)
    if kind == "garbage":
        return Response('{"id": "7h9k2m', media_type="application/json")
    request.scope["extensions"][ABORT]()
    return Response(status_code=204)  # nobody reads it any more


async def _hang(request: Request, fault: Fault, answer: Response) -> Response:
    async def until_gone() -> None:
        while not await request.is_disconnected():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.1)

    try:
        await asyncio.wait_for(until_gone(), fault.seconds)
    except TimeoutError:
        return answer
    return Response(status_code=204)  # nobody reads it any more
