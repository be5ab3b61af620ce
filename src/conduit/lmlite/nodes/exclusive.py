"""One process at a time brings a deployment up or down: a file lock, waited for without blocking the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import filelock

from conduit.errors import DeploymentFailed, StoreUnavailable

_POLL_S = 0.02
_WAIT_S = 60.0
"""More than a holder ever needs: it starts processes or waits for their end, never for a model to load."""


@asynccontextmanager
async def exclusive(data_dir: Path, key: str) -> AsyncIterator[None]:
    """Holds the deployment's lock; the kernel frees it when the process dies.

    Raises:
        DeploymentFailed: Another process has held it for too long.
        StoreUnavailable: The data folder cannot be written.
    """
    folder = data_dir / "locks"
    lock = filelock.FileLock(folder / f"{key}.lock", thread_local=False)
    deadline = anyio.current_time() + _WAIT_S
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire(blocking=False)
            break
        except filelock.Timeout:
            if anyio.current_time() > deadline:
                raise DeploymentFailed(
                    f"Another process has held {lock.lock_file} for more than {_WAIT_S:g} s.",
                    hint="See which deployments are at work with `conduit status`, and try again.",
                ) from None
            await anyio.sleep(_POLL_S)
        except OSError as error:
            raise StoreUnavailable(
                f"The data folder {data_dir} cannot be written: {error}.",
                hint="Set CONDUIT_DATA_DIR to a folder that you may write to.",
                path=str(data_dir),
            ) from error
    try:
        yield
    finally:
        lock.release()
