"""A stand-in for the API that ends a pod: answers as it is told to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HostApi:
    """`answers` maps "DELETE", "terminate" and "stop" to the statuses of the next requests; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {"DELETE": [204], "terminate": [204], "stop": [200]}
        self.asked: list[str] = []
        self.paths: set[str] = set()
        self.keys: set[str | None] = set()
        self.url = ""


@contextmanager
def running() -> Iterator[HostApi]:
    api = HostApi()

    class Handler(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            self._answer("DELETE")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._answer(json.loads(body)["action"])

        def _answer(self, what: str) -> None:
            api.asked.append(what)
            api.paths.add(self.path)
            api.keys.add(self.headers.get("authorization"))
            left = api.answers[what]
            status = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    api.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield api
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
