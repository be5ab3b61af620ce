import asyncio
import os
import subprocess
import sys
import threading
import warnings
from contextvars import ContextVar

import pytest

from conduit.errors import ConduitError
from conduit.lmlite.portal import Portal, portal

VARIABLE = ContextVar("variable", default="unset")


@pytest.fixture
def own():
    portal = Portal()
    yield portal
    portal.close()


async def name_of_thread():
    return threading.current_thread().name


async def raises():
    raise ConduitError("no")


def test_it_runs_coroutines_on_a_thread_of_its_own(own):
    assert own.call(name_of_thread) == "conduit-portal"


def test_coroutines_of_other_loops_wait_for_it(own):
    assert asyncio.run(own.acall(name_of_thread)) == "conduit-portal"


def test_on_its_own_loop_an_async_call_runs_in_place(own):
    async def outer():
        return await own.acall(name_of_thread)

    assert own.call(outer) == "conduit-portal"


def test_errors_come_through(own):
    with pytest.raises(ConduitError, match="no"):
        own.call(raises)
    with pytest.raises(ConduitError, match="no"):
        asyncio.run(own.acall(raises))


def test_context_variables_come_through(own):
    async def read():
        return VARIABLE.get()

    VARIABLE.set("set")
    assert own.call(read) == "set"


def test_cancelling_the_waiting_task_cancels_the_work(own):
    cancelled = threading.Event()
    started = threading.Event()

    async def work():
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def waits():
        task = asyncio.create_task(own.acall(work))
        await asyncio.to_thread(started.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(waits())
    assert cancelled.wait(5)


def test_closing_runs_the_closers_and_ends_the_thread():
    portal, closed = Portal(), []

    async def closer():
        closed.append(True)

    portal.at_close(closer)
    portal.close()
    assert closed == [True]
    assert not portal.alive


def test_there_is_one_in_a_process():
    assert portal() is portal()


def test_a_forked_child_gets_one_of_its_own():
    portal().call(name_of_thread)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # newer Pythons warn of forks beside threads: our case
        child = os.fork()
    if child == 0:
        try:
            os.write(write, portal().call(name_of_thread).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "conduit-portal"
    assert os.waitpid(child, 0)[1] == 0


def test_a_program_that_ends_says_nothing_of_it():
    program = """
import asyncio
from conduit.lmlite.portal import portal

async def work():
    print(await asyncio.to_thread(lambda: "done"))  # from now on the loop has an executor to shut down

portal().call(work)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
