"""Which of this machine's GPUs a container gets: whole ones that no other node holds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
import filelock

from conduit.compute import nvidia
from conduit.compute.base import ComputeProvider
from conduit.compute.docker.container import GPUS_LABEL
from conduit.errors import NoCapacity, ProviderBusy, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conduit.compute.base import Offering
    from conduit.compute.docker.containers import Containers
    from conduit.compute.nvidia import Gpu

_LOCK_S = 60.0


class Gpus:
    """The GPUs, and who holds them."""

    def __init__(self, containers: Containers, nvidia_smi: str, lock_file: Path) -> None:
        self._containers = containers
        self._nvidia_smi = nvidia_smi
        self._lock_file = lock_file

    async def here(self) -> list[Gpu]:
        """All of this machine."""
        return await nvidia.gpus_here(self._nvidia_smi)

    async def taken(self) -> set[str]:
        """The GPUs that living nodes hold, no matter whose."""
        found = await self._containers.labelled({GPUS_LABEL: ""})
        return {uuid for one in found if one.alive for uuid in one.labels[GPUS_LABEL].split(",") if uuid}

    @asynccontextmanager
    async def chosen(self, offering: Offering | None) -> AsyncIterator[list[str]]:
        """The uuids of as many GPUs as the offering has; nobody else chooses until a container holds them.

        Raises:
            NoCapacity: Other containers hold them.
            ProviderBusy: Somebody else has been choosing for too long.
        """
        if offering is None:
            yield []
            return
        lock = filelock.FileLock(self._lock_file, timeout=_LOCK_S, thread_local=False)
        try:
            await anyio.to_thread.run_sync(_acquire, lock, self._lock_file)
            yield await self._free(offering)
        finally:
            lock.release()

    async def _free(self, offering: Offering) -> list[str]:
        gpus = [gpu for gpu in await self.here() if gpu.type == offering.gpu]
        taken = await self.taken()
        free = [gpu.uuid for gpu in gpus if gpu.uuid not in taken]
        if len(free) < offering.gpu_count:
            raise NoCapacity(
                f"{offering.gpu_count} {offering.name} are asked for; of the {len(gpus)} of this machine "
                f"{len(free)} are not held by another node.",
                hint="`conduit status` shows the nodes; `conduit down` ends them.",
                provider=ComputeProvider.DOCKER,
            )
        return free[: offering.gpu_count]


def _acquire(lock: filelock.FileLock, path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise ProviderBusy(
            f"Another process has been starting a container for more than {_LOCK_S:.0f} s.",
            hint=f"If none is, remove {path}.",
            provider=ComputeProvider.DOCKER,
        ) from error
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be used: {error.strerror or error}.",
            hint="Set CONDUIT_DATA_DIR to a folder that you can write to.",
            path=str(path),
        ) from error
