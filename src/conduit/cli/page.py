"""A page on a web server of this machine: what the demo's flow fetches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

SEPARATOR = "\n---\n"


def demo_page() -> str:
    """The messages of the demo, one below the other."""
    return files("conduit.cli").joinpath("inbox_page.txt").read_text(encoding="utf-8")


def messages_of(page: str) -> list[str]:
    """The page's messages, as the flow splits them."""
    return [message for message in page.split(SEPARATOR) if message.strip()]


@contextmanager
def served(page: str) -> Iterator[str]:
    """Serves the page on a free port of the loopback address; gives its URL."""
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the demo's own lines are on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/messages"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
