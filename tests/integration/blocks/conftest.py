import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from support import postgres


class Server:
    """A real HTTP server on a free port; each path is a function of its handler."""

    def __init__(self):
        self.paths = {}
        self.requests = []
        self.stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("content-length") or 0)
                self.body = self.rfile.read(length)
                server.requests.append(self)
                try:
                    server.paths[self.path.partition("?")[0]](self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = handle_any

            def answer(self, body=b"", status=200, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.block_on_close = True
        self.http.daemon_threads = False
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def close(self):
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(10)


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def cluster():
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no Postgres found: apt-get install postgresql")
    with postgres.running(programs) as running:
        yield running


@pytest.fixture
def database(cluster):
    """The URL of a new Postgres database."""
    return SecretStr(cluster.new_database())
