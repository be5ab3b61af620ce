"""A hub of Hugging Face's form on 127.0.0.1, for tests: serves what it is given, and fails as it is told to."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE = (".safetensors", ".bin")
HTML = b"<!doctype html><title>Please log in</title>"


@dataclass(frozen=True)
class Fault:
    """What one request for a file gets in place of the file.

    Attributes:
        kind: "status", "cut" (after `at` bytes of the answer), "html", "wrong" (its last byte), "longer", "stall".
    """

    kind: str
    at: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    path: str
    begins: int
    token: str | None


class Hub:
    """What the hub has, and what it was asked."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.sizes: dict[tuple[str, str], int] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.gated: set[str] = set()
        self.token = "hf_good"
        self.ranges = True
        self.asked: list[Asked] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.released = threading.Event()
        """Set, it ends the requests that stall."""
        self.url = ""

    def add(self, repo: str, files: dict[str, bytes]) -> None:
        self.models[repo] = files

    def add_folder(self, repo: str, folder: Path) -> None:
        self.add(repo, {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})

    def fails(self, path: str, *faults: Fault) -> None:
        """The next requests for that file (or for "list") fail so, one after another."""
        self.faults[path] += faults

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def siblings(self, repo: str) -> list[dict[str, Any]]:
        return [self._sibling(repo, path, content) for path, content in self.models[repo].items()]

    def _sibling(self, repo: str, path: str, content: bytes) -> dict[str, Any]:
        size = self.sizes.get((repo, path), len(content))
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        told: dict[str, Any] = {"rfilename": path, "size": size, "blobId": blob}
        if path.endswith(LARGE):
            told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
        return told


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = False
    hub.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        serving.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/(.+)/revision/([^/]+)", path):
            self._list(*found.groups())
        elif found := re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path):
            self._file(*found.groups())
        else:
            self._say(404, b"")

    def _list(self, repo: str, revision: str) -> None:
        self._note("list", 0)
        if fault := self._fault("list"):
            self._say(fault.status, b"", fault.headers)
        elif repo not in self.hub.models:
            self._say(401 if self._token() is None else 404, b"", {"x-error-code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self._say(404, b"", {"x-error-code": "RevisionNotFound"})
        else:
            body = {"sha": COMMIT, "siblings": self.hub.siblings(repo)}
            self._say(200, json.dumps(body).encode(), {"content-type": "application/json"})

    def _file(self, repo: str, commit: str, path: str) -> None:
        content = self.hub.models[repo][path]
        begins = self._begins()
        self._note(path, begins)
        if repo in self.hub.gated and self._token() != self.hub.token:
            self._say(401 if self._token() is None else 403, b"", {"x-error-code": "GatedRepo"})
            return
        fault = self._fault(path)
        if fault is not None and fault.kind == "status":
            self._say(fault.status, b"", fault.headers)
            return
        if fault is not None and fault.kind == "html":
            self._say(200, HTML, {"content-type": "text/html"})
            return
        if fault is not None and fault.kind == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if fault is not None and fault.kind == "longer":
            content += b"more"
        headers = {"content-type": "application/octet-stream"}
        if self.hub.ranges and begins:
            headers["content-range"] = f"bytes {begins}-{len(content) - 1}/{len(content)}"
            self._say(206, content[begins:], headers, fault, path)
        else:
            self._say(200, content, headers, fault, path)

    def _say(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        fault: Fault | None = None,
        path: str = "",
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        sent = body[: fault.at] if fault is not None and fault.kind in ("cut", "stall") else body
        with suppress(ConnectionError):  # the reader has gone
            self.wfile.write(sent)
        self.hub.sent[path] += len(sent)
        if fault is not None and fault.kind == "stall":
            self.wfile.flush()
            self.hub.released.wait(20)
        if len(sent) < len(body):
            self.close_connection = True

    def _begins(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0

    def _token(self) -> str | None:
        return (self.headers.get("authorization") or "").removeprefix("Bearer ") or None

    def _note(self, path: str, begins: int) -> None:
        self.hub.asked.append(Asked(path, begins, self._token()))

    def _fault(self, path: str) -> Fault | None:
        return self.hub.faults[path].pop(0) if self.hub.faults[path] else None

    def log_message(self, *args: object) -> None:
        pass
