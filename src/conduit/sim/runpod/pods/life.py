"""The life of one pod: PROVISIONING, STARTING, RUNNING, EXITED, gone; and what a fault does to it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from conduit.sim.runpod.pods.process import PodProcess
from conduit.sim.runpod.pods.server_config import CONFIG_VARIABLE, command_of, model_folder, rewritten

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from conduit.sim.runpod.events import Events
    from conduit.sim.runpod.options import Options
    from conduit.sim.runpod.pods.pod import Pod


class Address(Protocol):
    """Where the simulator itself listens."""

    base_url: str


class Life:
    """Drives one pod."""

    def __init__(self, pod: Pod, options: Options, events: Events, address: Address) -> None:
        self.pod = pod
        self._options = options
        self._events = events
        self._address = address
        self._course: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()

    @property
    def takes_room(self) -> bool:
        """Whether it counts against the simulator's limit."""
        return not self.pod.foreign and not self.pod.gone and self.pod.status not in ("EXITED", "ERROR")

    def start(self) -> None:
        """From PROVISIONING on; the meter runs from here."""
        pod = self.pod
        pod.status = "PROVISIONING"
        pod.meter.start(time.time() if pod.meter.ran else pod.created_at, pod.usd_per_hour)
        self._course = asyncio.get_running_loop().create_task(self._live())

    async def stop(self) -> None:
        """Gives the machine back and keeps the pod."""
        self._leave_course()
        self._exited()
        await self._end_process()
        self._events.tell("stopped", self.pod.name, self.pod.id)

    def restart(self) -> None:
        """Its process ends and another one starts, on another port; one that is gone stays gone."""
        if self.pod.gone:
            return
        self._leave_course()
        self.pod.status, self.pod.started_at = "STARTING", None
        self.pod.restarts += 1
        self._events.tell("restarted", self.pod.name, self.pod.id)
        self._course = asyncio.get_running_loop().create_task(self._live_again())

    def terminate(self) -> None:
        """It is gone for the API at once; its process a moment later."""
        if self.pod.gone:
            return
        self._leave_course()
        now = time.time()
        self.pod.status, self.pod.terminated_at = "TERMINATED", now
        self.pod.meter.stop(now)
        seconds, usd = now - self.pod.created_at, self.pod.meter.usd(0.0, now)
        self._events.tell("ended", f"{self.pod.name} after {seconds:.1f} s, {usd:.4f} USD", self.pod.id)
        self._aside(self._end_process())

    def terminate_later(self, seconds: float) -> None:
        """It is gone after that time."""

        async def later() -> None:
            await asyncio.sleep(seconds)
            self.terminate()

        self._aside(later())

    async def aclose(self) -> None:
        """Ends its process, with no word about it."""
        self._leave_course()
        for task in tuple(self._others):
            task.cancel()
        if self.pod.process is not None:
            await self.pod.process.end(0.0)

    async def _live(self) -> None:
        pod, fault = self.pod, self.pod.fault
        await asyncio.sleep(self._options.provision_s)
        if fault is not None and fault.kind == "never-ready":
            return  # it is allocated, and costs, for ever
        pod.status = "STARTING"
        pod.log.note(f"create container {pod.asked.get('image', '')}")
        await self._run()

    async def _live_again(self) -> None:
        await self._end_process()
        await self._run()

    async def _run(self) -> None:
        pod = self.pod
        process = pod.process = self._process()
        pod.log.note("start container")
        await asyncio.sleep(self._options.start_s)
        if process.exit_code is None:
            pod.status, pod.started_at = "RUNNING", time.time()
            self._events.tell("running", pod.name, pod.id)
            self._befall()
        code = await process.wait()
        pod.log.note(f"container ended with code {code}")
        self._events.tell("exited", f"{pod.name} with code {code}", pod.id)
        if self._options.container_restarts:
            self.restart()
        else:
            self._exited()

    def _befall(self) -> None:
        """What happens to it once it runs, the first time."""
        fault = self.pod.fault
        if fault is None or fault.kind not in ("dies", "restarts") or self.pod.restarts:
            return

        async def later() -> None:
            await asyncio.sleep(fault.seconds or 0.0)
            if fault.kind == "restarts":
                self.restart()
            elif self.pod.process is not None:
                self.pod.process.kill()

        self._aside(later())

    def _process(self) -> PodProcess:
        pod = self.pod
        pod.folder.mkdir(parents=True, exist_ok=True)
        announce = pod.folder / "announce.json"
        env = {**pod.env, "RUNPOD_POD_ID": pod.id, "RUNPOD_API_KEY": pod.key}
        env["RUNPOD_API_BASE_URL"] = self._address.base_url
        if pod.endpoint is not None:
            env |= _worker_env(self._address.base_url, pod)
        fault = pod.fault
        if fault is not None and fault.kind == "never-serves":
            env.pop(CONFIG_VARIABLE, None)  # its container runs, and nothing listens
        if CONFIG_VARIABLE in env:
            folder = model_folder(self._options.model)
            env[CONFIG_VARIABLE] = rewritten(env[CONFIG_VARIABLE], folder=folder, announce=announce)
        is_worker = pod.endpoint is not None and self._options.worker is not None
        command = command_of(env, self._options.worker if is_worker else self._options.server)
        return PodProcess(command, env, log=pod.folder / "log", announce=announce)

    def _exited(self) -> None:
        self.pod.status, self.pod.started_at = "EXITED", None
        self.pod.meter.stop(time.time())

    async def _end_process(self) -> None:
        if self.pod.process is not None:
            await self.pod.process.end(self._options.stop_s)

    def _leave_course(self) -> None:
        if self._course is not None and self._course is not asyncio.current_task():
            self._course.cancel()

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)


def _worker_env(base_url: str, pod: Pod) -> dict[str, str]:
    """By which RunPod's SDK finds its jobs."""
    url = f"{base_url}/serverless/{pod.endpoint}"
    gpu = quote(pod.asked.get("gpu", {}).get("id", "CPU"))
    return {
        "RUNPOD_ENDPOINT_ID": str(pod.endpoint),
        "RUNPOD_AI_API_KEY": pod.key,
        "RUNPOD_WEBHOOK_GET_JOB": f"{url}/job-take/$ID?gpu={gpu}",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{url}/job-done/$RUNPOD_POD_ID/$ID?gpu={gpu}",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{url}/job-stream/$RUNPOD_POD_ID/$ID?gpu={gpu}",
        "RUNPOD_WEBHOOK_PING": f"{url}/ping/$RUNPOD_POD_ID",
    }
