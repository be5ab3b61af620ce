import asyncio
import subprocess
import sys

import pytest

from conduit.provisioning.site import off_loop


def test_what_is_left_to_do_at_exit_is_done_though_no_thread_can_start():
    program = """
import asyncio
from conduit.lmlite.portal import portal
from conduit.provisioning.site import off_loop

async def stays():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.shield(off_loop(print, "released"))

async def start():
    global task
    task = asyncio.create_task(stays())
    await asyncio.sleep(0)

portal().call(start)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "released\n", "")


def test_errors_of_the_work_are_its_own():
    def fails():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match=r"^no$"):
        asyncio.run(off_loop(fails))
