"""The route of a pod's log: server-sent events, those of the past and then those to come."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.pods.log import MOST_LINES, Line
from conduit.sim.runpod.pods.pod import Pod

_LOOK_S = 0.1
_HEADERS = {"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"}
_LIVE = ("PROVISIONING", "STARTING", "RUNNING")


async def stream(state: State, request: Request) -> Response:
    """``GET /v2/pods/{id}/logs``."""
    return answer(request, state.cloud.get(request.path_params["id"]))


def answer(request: Request, pod: Pod) -> Response:
    """The log of one pod, as the query wants it."""
    source = query.text(request, "source", ("container", "system"))
    tail = query.whole(request, "tail", 0, MOST_LINES)
    since = None
    if "since" in request.query_params:
        since = query.moment(request.query_params["since"], "since").timestamp()
    if "last-event-id" in request.headers:
        since = query.moment(request.headers["last-event-id"], "Last-Event-ID").timestamp()
    events = _events(pod, source, 100 if tail is None else tail, since)
    return StreamingResponse(events, headers=_HEADERS, media_type="text/event-stream")


async def _events(pod: Pod, source: str | None, tail: int, since: float | None) -> AsyncIterator[str]:
    """It ends when the pod does; a reader that leaves ends it, too."""
    past = [line for line in pod.log.lines() if source in (None, line.source)]
    if since is None:
        since = time.time()
        for line in past[len(past) - min(tail, len(past)) :]:
            yield _event(line)
            since = line.at
    while True:
        ends = pod.gone or pod.status not in _LIVE
        for line in pod.log.lines():
            if line.at > since:
                since = line.at
                if source in (None, line.source):
                    yield _event(line)
        if ends:
            return
        await asyncio.sleep(_LOOK_S)


def _event(line: Line) -> str:
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = json.dumps({"ts": at, "source": line.source, "line": line.text})
    return f"id: {at}\ndata: {data}\n\n"
