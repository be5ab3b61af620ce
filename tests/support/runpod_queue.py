"""The queue of RunPod Serverless as its SDK sees it: gives jobs, takes streams and results."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

POLL_S = 0.3


class Queue:
    """Jobs in, results out."""

    def __init__(self) -> None:
        self.jobs: deque[dict[str, Any]] = deque()
        self.streamed: dict[str, list[Any]] = defaultdict(list)
        self.results: dict[str, Any] = {}
        self.url = ""

    def add(self, job_id: str, given: dict[str, Any]) -> None:
        self.jobs.append({"id": job_id, "input": given})

    def environment(self) -> dict[str, str]:
        """What RunPod puts into a worker's environment; the SDK's own checks of the machine are off."""
        return {
            "RUNPOD_POD_ID": "worker1",
            "RUNPOD_WEBHOOK_GET_JOB": f"{self.url}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{self.url}/done/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{self.url}/stream/$ID?gpu=none",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }


@contextmanager
def running() -> Iterator[Queue]:
    queue = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ends = time.monotonic() + POLL_S
            taking = "/job-take" in self.path
            while time.monotonic() < ends and not (taking and queue.jobs):
                time.sleep(0.02)
            if not (taking and queue.jobs):
                self._say(204, None)
                return
            job = queue.jobs.popleft()
            self._say(200, [job] if "batch" in self.path else job)

        def do_POST(self) -> None:
            _, kind, job_id = self.path.partition("?")[0].split("/")
            told = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if kind == "done":
                queue.results[job_id] = told
            else:
                queue.streamed[job_id].append(told["output"])
            self._say(200, {})

        def _say(self, status: int, value: object) -> None:
            body = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    queue.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield queue
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
