"""What integration tests share: one real Prefect server a test session.

Under pytest-xdist all tests that use ``prefect_server`` carry the group "prefect" (set below), so that with
``--dist loadgroup`` one worker runs them all and one server is started. Without it each worker that gets such a
test starts a server of its own: slower, as right.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "prefect_server" in getattr(item, "fixturenames", ()):
            if item.config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("prefect"))
            # Prefect's event client leaves sockets to the garbage collector (see _prefects_sockets).
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            # The first of them also waits for the server's start.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(START_TIMEOUT_S + 60))


@pytest.fixture(autouse=True)
def _prefects_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collects what Prefect left open while that is not yet an error in some other test."""
    yield
    if "prefect_server" in request.fixturenames:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a server of this session's own; Prefect's client in this process uses it."""
    home = tmp_path_factory.mktemp("prefect")
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "DO_NOT_TRACK": "1",
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(server, url, log)
            with _client_settings(url):
                yield url
        finally:
            server.terminate()
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def _client_settings(url: str) -> Iterator[None]:
    with warnings.catch_warnings():
        # What Prefect's own modules warn of at their import is no failure of ours.
        warnings.simplefilter("ignore")
        from prefect.logging.handlers import APILogHandler
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
    # An earlier test of this process may have imported Prefect, which reads the environment only then.
    with temporary_settings({PREFECT_API_URL: url, PREFECT_HOME: os.environ["PREFECT_HOME"]}):
        yield
        # Logs still on their way would look for a server that is gone.
        APILogHandler().flush()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise AssertionError(
                f"the Prefect server ended with {server.returncode}:\n{log.read_text()[-2000:]}"
            )
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.25)
    raise AssertionError(
        f"the Prefect server did not start in {START_TIMEOUT_S} s:\n{log.read_text()[-2000:]}"
    )
