"""Jobs of an endpoint reach one worker each, and survive the death of the first."""

import anyio
import pytest

from conduit.sim.runpod.serverless.jobs import Jobs

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_jobs_are_taken_once_oldest_first():
    jobs = Jobs()
    submitted = [jobs.submit(number) for number in range(3)]
    assert await jobs.take("one", 2, 0) == submitted[:2]
    assert await jobs.take("two", 2, 0) == submitted[2:]
    assert await jobs.take("two", 2, 0.01) == []
    assert jobs.running("one") == submitted[:2]


async def test_a_worker_that_waits_gets_a_job_that_comes():
    jobs, taken = Jobs(), []

    async def work():
        taken.extend(await jobs.take("one", 1, 30))

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        job = jobs.submit("late")
    assert taken == [job]


async def test_a_lost_worker_s_job_is_queued_again_once_and_what_was_half_said_fails():
    jobs = Jobs()
    fresh, begun = jobs.submit("fresh"), jobs.submit("begun")
    await jobs.take("one", 2, 0)
    begun.add("half")
    jobs.lose("one")
    assert (fresh.status, begun.status) == ("IN_QUEUE", "FAILED")
    assert await jobs.take("two", 2, 0) == [fresh]
    jobs.lose("one")
    assert fresh.status == "IN_PROGRESS"
    jobs.lose("two")
    assert (fresh.status, fresh.error) == ("FAILED", "worker two was lost")


async def test_a_reader_gets_all_parts_whenever_it_comes_and_the_first_end_counts():
    jobs = Jobs()
    job, heard = jobs.submit("x"), []

    async def listen():
        heard.extend([part async for part in job.stream()])

    async with anyio.create_task_group() as group:
        job.add(1)
        group.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        job.add(2)
        job.add(3)
        job.end("COMPLETED", output=[1, 2, 3])
    assert heard == [1, 2, 3]
    assert [part async for part in job.stream()] == [1, 2, 3]
    job.end("FAILED", error="too late")
    await job.wait()
    assert job.document()["status"] == "COMPLETED"


async def test_a_cancelled_job_is_never_handed_out():
    jobs = Jobs()
    jobs.submit("x").end("CANCELLED")
    assert await jobs.take("one", 1, 0) == []
