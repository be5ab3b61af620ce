"""The routes by which jobs reach an endpoint, and its OpenAI address, which makes a job of every request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.gate import Handler, authorized
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.problems import Problem, not_found
from conduit.sim.runpod.serverless.endpoint import Endpoint
from conduit.sim.runpod.serverless.jobs import Job

_SYNC_S = 90.0
_STREAM_S = 10.0
_DONE = "data: [DONE]"


def route(state: State, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler behind the account's key."""

    async def answer(request: Request) -> Response:
        try:
            authorized(state, request)
            return await handler(state, request)
        except Problem as problem:
            return problem.answer()

    return answer


async def run(state: State, request: Request) -> Response:
    """``POST …/run``."""
    job = _endpoint(state, request).jobs.submit(await _input(request))
    return JSONResponse({"id": job.id, "status": job.status})


async def run_sync(state: State, request: Request) -> Response:
    """``POST …/runsync``: waits for the answer, but not for ever."""
    waits_ms = query.whole(request, "wait", 1, 300_000)
    job = _endpoint(state, request).jobs.submit(await _input(request))
    await job.wait(_SYNC_S if waits_ms is None else waits_ms / 1000)
    return JSONResponse(job.document())


async def status(state: State, request: Request) -> Response:
    """``GET …/status/{job}``."""
    return JSONResponse(_job(state, request).document())


async def stream(state: State, request: Request) -> Response:
    """``GET …/stream/{job}``: what came since the last look; waits for the next part."""
    job = _job(state, request)
    deadline = time.monotonic() + _STREAM_S
    while job.seen == len(job.parts) and not job.ended and time.monotonic() < deadline:
        changed = job.changed
        await _first(changed.wait(), deadline - time.monotonic())
    parts, job.seen = job.parts[job.seen :], len(job.parts)
    return JSONResponse({"status": job.status, "stream": [{"output": part} for part in parts]})


async def cancel(state: State, request: Request) -> Response:
    """``POST …/cancel/{job}``."""
    job = _job(state, request)
    if job.worker is not None and not job.ended:
        _endpoint(state, request).stops.setdefault(job.worker, []).append(job.id)
    job.end("CANCELLED")
    return JSONResponse(job.document())


async def retry(state: State, request: Request) -> Response:
    """``POST …/retry/{job}``: a failed one is submitted again."""
    job = _job(state, request)
    if job.status not in ("FAILED", "TIMED_OUT"):
        raise Problem(400, f"job {job.id} is {job.status}: only what failed or timed out is tried again")
    again = _endpoint(state, request).jobs.submit(job.input)
    return JSONResponse({"id": again.id, "status": again.status})


async def purge(state: State, request: Request) -> Response:
    """``POST …/purge-queue``."""
    queued = _endpoint(state, request).jobs.queued()
    for job in queued:
        job.end("CANCELLED")
    return JSONResponse({"removed": len(queued), "status": "completed"})


async def health(state: State, request: Request) -> Response:
    """``GET …/health``."""
    endpoint = _endpoint(state, request)
    states = [endpoint.worker_status(pod) for pod in state.fleet.workers(endpoint)]
    workers = {name.lower(): states.count(name) for name in ("IDLE", "INITIALIZING", "RUNNING", "UNHEALTHY")}
    jobs = endpoint.jobs
    return JSONResponse(
        {
            "jobs": {
                "completed": jobs.count("COMPLETED"),
                "failed": jobs.count("FAILED"),
                "inProgress": jobs.count("IN_PROGRESS"),
                "inQueue": jobs.count("IN_QUEUE"),
                "retried": 0,
            },
            "workers": {**workers, "ready": workers["idle"] + workers["running"], "throttled": 0},
        }
    )


async def openai(state: State, request: Request) -> Response:
    """``…/openai/v1/…``: a request of OpenAI's protocol, answered by a job."""
    given: dict[str, Any] = {"openai_route": f"/v1/{request.path_params['path']}"}
    if request.method == "POST":
        given["openai_input"] = await _json(request)
    job = _endpoint(state, request).jobs.submit(given)
    try:
        if given.get("openai_input", {}).get("stream"):
            return await _streamed(job)
        await job.wait()
    finally:
        if not job.ended and not given.get("openai_input", {}).get("stream"):
            job.end("CANCELLED")
    if job.status != "COMPLETED":
        return _failed(job)
    output = job.output[0] if isinstance(job.output, list) and job.output else job.output
    return JSONResponse(output)


async def _streamed(job: Job) -> Response:
    """Events as the worker sends them; a refusal before the first is an answer of its own."""
    parts = job.stream()
    first = await anext(parts, None)
    if first is None and job.status != "COMPLETED":
        return _failed(job)

    async def events() -> AsyncIterator[str]:
        said = "" if first is None else _event(first)
        yield said
        async for part in parts:
            said = _event(part)
            yield said
        if job.status != "COMPLETED":
            yield f"data: {json.dumps({'error': _error(job)})}\n\n"
        if _DONE not in said:
            yield f"{_DONE}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _event(part: Any) -> str:
    return part if isinstance(part, str) else f"data: {json.dumps(part)}\n\n"


def _failed(job: Job) -> Response:
    """A worker can say what is wrong, but no status: to its caller every failed job is a 500."""
    return JSONResponse({"error": _error(job)}, 500)


def _error(job: Job) -> Any:
    """Its error in OpenAI's form, where a worker gives it so."""
    try:
        said = json.loads(job.error)
    except (TypeError, ValueError):
        said = None
    if isinstance(said, dict):
        return said
    return {
        "message": str(job.error or job.status),
        "type": "server_error",
        "param": None,
        "code": job.status.lower(),
    }


def _endpoint(state: State, request: Request) -> Endpoint:
    return state.fleet.get(request.path_params["id"])


def _job(state: State, request: Request) -> Job:
    job = _endpoint(state, request).jobs.get(request.path_params["job"])
    if job is None:
        raise not_found("job", request.path_params["job"])
    return job


async def _input(request: Request) -> Any:
    body = await _json(request)
    if "input" not in body:
        raise Problem(400, "the body has no input")
    return body["input"]


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise Problem(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise Problem(400, "the body is no object")
    return body


async def _first(waits: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(waits, max(0.0, seconds))
    except TimeoutError:
        return
