"""Whether this machine's NVIDIA driver is new enough for an engine: asked before anything is downloaded or started.

Least drivers on Linux are those of NVIDIA's table "CUDA Toolkit and Corresponding Driver Versions" (CUDA Toolkit
Release Notes). Drivers of the same major CUDA version run some programs of a newer toolkit too, but not all that
engines compile at run time, so the table counts. An image with CUDA's compatibility package may do with less: say
so by `needs_driver`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from gpu_server.engines.base import UnfitHost

LEAST_DRIVER = {
    "11.8": "520.61.05",
    "12.0": "525.60.13",
    "12.1": "530.30.02",
    "12.2": "535.54.03",
    "12.3": "545.23.06",
    "12.4": "550.54.14",
    "12.5": "555.42.02",
    "12.6": "560.28.03",
    "12.8": "570.26",
    "12.9": "575.51.03",
    "13.0": "580.65.06",
}
ASK_S = 30.0
_COMMAND = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
_KERNEL_SAYS = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"\b\d{3,4}\.\d+(\.\d+)?\b")


def least_for(cuda: str) -> str:
    """Return the least driver for a CUDA version; of one that is newer than the table, the newest that is known."""
    wanted = _numbers(cuda)[:2]
    known = [version for version in LEAST_DRIVER if _numbers(version) <= wanted]
    return LEAST_DRIVER[max(known, key=_numbers)] if known else "0"


def require(driver: str, least: str, cuda: str | None) -> None:
    """Compare.

    Raises:
        UnfitHost: The driver is older.
    """
    if _numbers(driver) < _numbers(least):
        whose = f"CUDA {cuda} needs" if cuda else "needs_driver asks for"
        raise UnfitHost(f"driver {driver} is older than {least} that {whose}: choose another host")


async def installed(kernel_says: Path = _KERNEL_SAYS) -> str | None:
    """Return the version of the driver; None on a machine without one.

    Raises:
        UnfitHost: There is a driver, and it does not work.
    """
    trouble = None
    try:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    except OSError:
        pass  # not installed
    else:
        said = await _said(process)
        if process.returncode == 0 and (found := _VERSION.search(said)):
            return found[0]
        trouble = " ".join(said.split())[:200] or f"no answer within {ASK_S:g} s"
    with contextlib.suppress(OSError):
        if found := _VERSION.search(kernel_says.read_text()):  # noqa: ASYNC240  (the kernel's memory, no disk)
            return found[0]
    if trouble is not None:
        raise UnfitHost(f"the NVIDIA driver does not work: {trouble}. Choose another host")
    return None


async def _said(process: asyncio.subprocess.Process) -> str:
    try:
        output, _ = await asyncio.wait_for(process.communicate(), ASK_S)
        return output.decode(errors="replace")
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
