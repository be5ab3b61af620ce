"""A Prefect server of the benchmark's own, and this process as its client."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conduit.cli.prefect_server import OwnServer, client_environment
from conduit.settings import Settings


@contextmanager
def server() -> Iterator[str]:
    """Runs a server for as long as the block, and gives its API's address; before Prefect is imported."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    with tempfile.TemporaryDirectory(prefix="conduit-bench-", ignore_cleanup_errors=True) as folder:
        own = OwnServer(Settings(data_dir=Path(folder)))
        started = own.start()
        try:
            own.wait(started)
            os.environ.update(client_environment(Path(folder) / "prefect", started.api_url))
            os.environ["CONDUIT_DATA_DIR"] = folder
            yield started.api_url
        finally:
            own.stop()
