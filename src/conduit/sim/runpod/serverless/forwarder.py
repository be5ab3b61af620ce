"""Work for a worker that is a plain gpu_server: takes jobs in its name and passes them to its OpenAI routes.

A worker on RunPod's own SDK takes its jobs itself and needs none of this.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from conduit.sim.runpod.pods.pod import Pod
from conduit.sim.runpod.serverless.endpoint import Endpoint
from conduit.sim.runpod.serverless.jobs import Job

_LOOK_S = 0.1
_MOST = 64  # jobs of one worker at a time; its server holds back what is too much
_TOKEN = "GPU_SERVER_TOKEN"  # noqa: S105 - the name of a variable
_ROUTES = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings"}


class Forwarder:
    """Feeds one worker."""

    def __init__(self, endpoint: Endpoint, pod: Pod) -> None:
        self._endpoint = endpoint
        self._pod = pod
        token = pod.env.get(_TOKEN, "").partition(",")[0]
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(None, connect=5),
            limits=httpx.Limits(max_connections=_MOST + 1),
            trust_env=False,
        )
        self._at_work: set[asyncio.Task[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._feed())

    def stop(self) -> None:
        """Takes no more jobs."""
        self._task.cancel()
        for task in self._at_work:
            task.cancel()

    async def aclose(self) -> None:
        """Stops and closes its connections."""
        self.stop()
        await asyncio.gather(self._task, *self._at_work, return_exceptions=True)

    async def _feed(self) -> None:
        try:
            base = await self._ready()
            self._endpoint.seen[self._pod.id] = time.time()
            while True:
                free = _MOST - len(self._at_work)
                for job in await self._endpoint.jobs.take(self._pod.id, free, 1.0) if free else ():
                    task = asyncio.get_running_loop().create_task(self._answer(base, job))
                    self._at_work.add(task)
                    task.add_done_callback(self._at_work.discard)
                if not free:
                    await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._client.aclose()

    async def _ready(self) -> str:
        while True:
            port = None if self._pod.process is None else self._pod.process.port()
            if port is not None:
                base = f"http://127.0.0.1:{port}"
                try:
                    if (await self._client.get(f"{base}/ready")).is_success:
                        return base
                except httpx.HTTPError:
                    pass  # it does not listen yet
            await asyncio.sleep(_LOOK_S)

    async def _answer(self, base: str, job: Job) -> None:
        try:
            route, body = _asked(job.input)
            method = "GET" if body is None else "POST"
            async with self._client.stream(method, base + route, json=body) as response:
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    async for piece in response.aiter_text():
                        job.add(piece)
                    job.end("COMPLETED", output=list(job.parts))
                    return
                answer = json.loads(await response.aread())
            if response.is_success:
                job.add(answer)
                job.end("COMPLETED", output=[answer])
            else:
                job.end("FAILED", error=json.dumps(answer.get("error", answer)))
        except (httpx.HTTPError, ValueError) as error:
            job.end("FAILED", error=f"{type(error).__name__}: {error}")
        finally:
            self._endpoint.seen[self._pod.id] = time.time()


def _asked(given: Any) -> tuple[str, Any]:
    """Route and body of a job.

    Raises:
        ValueError: It asks for nothing that there is.
    """
    if not isinstance(given, dict):
        raise ValueError("the job's input is no object")  # noqa: TRY004 - a fault of the job, as the next one
    if "openai_route" in given:
        return str(given["openai_route"]), given.get("openai_input")
    for name, route in _ROUTES.items():
        if name in given:
            return route, given
    raise ValueError(f"the job's input has none of {', '.join(_ROUTES)}")
