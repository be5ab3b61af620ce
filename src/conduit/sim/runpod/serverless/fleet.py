"""All endpoints and their workers: started when jobs wait, ended when they idle. A worker is a pod of the cloud."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from conduit.sim.runpod.events import Events
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.pods.cloud import Cloud
from conduit.sim.runpod.pods.pod import Pod
from conduit.sim.runpod.problems import Problem, not_found
from conduit.sim.runpod.serverless.endpoint import CONTAINER, Endpoint
from conduit.sim.runpod.serverless.forwarder import Forwarder

_LOOK_S = 0.1


class Fleet:
    """The endpoints of the account."""

    def __init__(self, options: Options, events: Events, cloud: Cloud) -> None:
        self._options = options
        self._events = events
        self._cloud = cloud
        self._endpoints: dict[str, Endpoint] = {}
        self._ended: list[Endpoint] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._forwarders: dict[str, Forwarder] = {}

    def all(self) -> list[Endpoint]:
        """Those that are, oldest first."""
        return list(self._endpoints.values())

    def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint.

        Raises:
            Problem: There is none.
        """
        if endpoint_id not in self._endpoints:
            raise not_found("endpoint", endpoint_id)
        return self._endpoints[endpoint_id]

    def add(self, asked: Mapping[str, Any], compute: Mapping[str, Any], usd_per_hour: float) -> Endpoint:
        """One more."""
        endpoint = Endpoint(dict(asked), dict(compute), usd_per_hour)
        endpoint.url = f"{self._cloud.base_url}/serverless/{endpoint.id}"
        self._endpoints[endpoint.id] = endpoint
        self._events.created(endpoint.name, [other.name for other in self.all()])
        self._events.tell("created", f"endpoint {endpoint.name}", endpoint.id)
        self._tasks[endpoint.id] = asyncio.get_running_loop().create_task(self._watch(endpoint))
        return endpoint

    async def remove(self, endpoint: Endpoint) -> None:
        """Ends it with its workers; its jobs are cancelled."""
        self._events.deletes[endpoint.name] += 1
        del self._endpoints[endpoint.id]
        self._tasks.pop(endpoint.id).cancel()
        for pod in self.workers(endpoint):
            self._end(endpoint, pod)
        for job in [*endpoint.jobs.queued(), *endpoint.jobs.running()]:
            job.end("CANCELLED")
        self._events.tell("ended", f"endpoint {endpoint.name}", endpoint.id)

    def workers(self, endpoint: Endpoint) -> list[Pod]:
        """Those that are, oldest first."""
        return [pod for pod in self._cloud.all() if pod.endpoint == endpoint.id and not pod.gone]

    def worker(self, endpoint: Endpoint, pod_id: str) -> Pod:
        """One of them.

        Raises:
            Problem: There is none.
        """
        for pod in self.workers(endpoint):
            if pod.id == pod_id:
                return pod
        raise not_found("worker", pod_id)

    def end_worker(self, endpoint: Endpoint, pod: Pod) -> None:
        """It has asked to be replaced."""
        self._end(endpoint, pod)

    async def aclose(self) -> None:
        """Stops watching; the cloud ends the processes."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        for forwarder in self._forwarders.values():
            await forwarder.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, endpoint: Endpoint) -> None:
        while True:
            self._care(endpoint)
            self._scale(endpoint)
            await asyncio.sleep(_LOOK_S)

    def _care(self, endpoint: Endpoint) -> None:
        """Dead workers leave, late jobs end, living workers get work."""
        now = time.time()
        for pod in self.workers(endpoint):
            if pod.status in ("EXITED", "ERROR"):
                endpoint.jobs.lose(pod.id)
                self._end(endpoint, pod)
            elif pod.status == "RUNNING" and self._options.worker is None and pod.id not in self._forwarders:
                self._forwarders[pod.id] = Forwarder(endpoint, pod)
        for job in endpoint.jobs.running():
            if job.taken_at is not None and now - job.taken_at > endpoint.asked["timeout"] / 1000:
                endpoint.stops.setdefault(job.worker or "", []).append(job.id)
                job.end("TIMED_OUT", error="job timed out")

    def _scale(self, endpoint: Endpoint) -> None:
        bounds, workers, now = endpoint.asked["workers"], self.workers(endpoint), time.time()
        for pod in workers:
            if len(workers) > bounds["min"] and self._idles(endpoint, pod, now):
                self._end(endpoint, pod)
                workers.remove(pod)
        queued = endpoint.jobs.queued()
        starting = any(pod.id not in endpoint.seen for pod in workers)
        wanted = len(workers) < bounds["min"] or (
            len(workers) < bounds["max"] and not starting and self._waits(endpoint, len(workers), now)
        )
        if wanted and (queued or len(workers) < bounds["min"]):
            with suppress(Problem):  # there is no room: the jobs wait
                self._start(endpoint)

    def _waits(self, endpoint: Endpoint, workers: int, now: float) -> bool:
        """Whether jobs wait so long, or are so many, that one more worker is due."""
        queued, scaling = endpoint.jobs.queued(), endpoint.asked["scaling"]
        if not queued or not workers:
            return bool(queued)
        if scaling["type"] == "QUEUE_DELAY":
            return bool(now - queued[0].submitted_at >= scaling["queueDelay"])
        return bool(len(queued) + len(endpoint.jobs.running()) > workers * scaling["requestCount"])

    def _idles(self, endpoint: Endpoint, pod: Pod, now: float) -> bool:
        since = endpoint.seen.get(pod.id)
        if since is None or endpoint.jobs.running(pod.id) or endpoint.jobs.queued():
            return False
        return now - since >= endpoint.asked["workers"]["idleTimeout"] or pod.version != endpoint.version

    def _start(self, endpoint: Endpoint) -> None:
        asked = {name: endpoint.asked[name] for name in CONTAINER if endpoint.asked.get(name) is not None}
        self._cloud.create(
            endpoint.name,
            {**asked, **endpoint.compute},
            cloud="SECURE",
            place=None,
            usd_per_hour=endpoint.usd_per_hour,
            endpoint=endpoint.id,
            version=endpoint.version,
        )

    def _end(self, endpoint: Endpoint, pod: Pod) -> None:
        endpoint.jobs.lose(pod.id)
        if (forwarder := self._forwarders.pop(pod.id, None)) is not None:
            forwarder.stop()
        self._cloud.terminate(pod)
