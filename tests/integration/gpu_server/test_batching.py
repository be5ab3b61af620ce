"""What batching promises, on a real engine: same answers, fewer steps, joins, leaves, and the window."""

from __future__ import annotations

import asyncio

import pytest

from support.long_requests import ask, client, until


def test_a_batch_answers_as_one_by_one_in_far_fewer_steps(server) -> None:
    prompts = [f"number {word}" for word in "one two six ten and the red sea fog ice oak pig".split()]
    prompts += [f"a much longer prompt that says {word} twice: {word}" for word in "yes no may can".split()]

    async def run() -> tuple[list[str], list[str], float, float]:
        async with client(server) as api:

            async def text(prompt: str) -> str:
                answer = await api.chat.completions.create(**ask(prompt, 48))
                assert answer.usage.completion_tokens == 48
                return answer.choices[0].message.content

            start = server.metric("engine_steps_total")
            serial = [await text(prompt) for prompt in prompts]
            middle = server.metric("engine_steps_total")
            batch = await asyncio.gather(*map(text, prompts))
            return serial, batch, middle - start, server.metric("engine_steps_total") - middle

    serial, batch, serial_steps, batch_steps = asyncio.run(run())
    assert batch == serial
    assert len(set(serial)) > 8  # the prompts matter
    assert serial_steps >= len(prompts) * 40
    assert batch_steps < serial_steps / 2
    assert server.metric("largest_batch") > 4


def test_a_late_request_joins_and_ends_while_the_early_one_runs(server) -> None:
    async def run() -> None:
        async with client(server) as api:
            early = await api.chat.completions.create(**ask("a long story", 480, stream=True))
            async with early:
                await anext(aiter(early))
                late = await api.chat.completions.create(**ask("hi", 3))
                assert late.usage.completion_tokens == 3
                assert server.metric("running") == 1  # the early one, still
                rest = [chunk async for chunk in early]
                assert rest[-1].choices[0].finish_reason == "length"

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_takes_its_request_out_of_the_batch(server, stream: bool) -> None:
    async def run() -> None:
        cancelled = server.metric("cancelled_total")
        left = server.metric("requests_total", status="499")
        async with client(server) as api:
            call = asyncio.create_task(api.chat.completions.create(**ask("a long story", 480, stream=stream)))
            await until(lambda: server.metric("running") == 1, "the request runs")
            if stream:
                answer = await call
                await anext(aiter(answer))
                await answer.close()
            else:
                call.cancel()
                await asyncio.wait([call])
            await until(lambda: server.metric("running") == 0, "the request has left")
            tokens = server.metric("completion_tokens_total")
            await api.chat.completions.create(**ask("hi", 2))
        assert server.metric("cancelled_total") == cancelled + 1
        assert server.metric("requests_total", status="499") == left + 1
        # Nothing went on generating behind its back.
        assert server.metric("completion_tokens_total") == tokens + 2

    asyncio.run(run())


def test_the_window_holds_the_first_and_releases_a_full_batch_as_one_wave(start, model) -> None:
    one = start(models=[model(max_model_concurrency=3, model_batch_execute_timeout_ms=20_000)]).loaded()

    async def run() -> None:
        async with client(one) as api:
            calls = [asyncio.create_task(api.chat.completions.create(**ask(f"{n}", 8))) for n in "ab"]
            await until(lambda: one.metric("queue_depth") == 2, "two are held")
            assert one.metric("running") == 0
            assert one.metric("completion_tokens_total") == 0
            calls.append(asyncio.create_task(api.chat.completions.create(**ask("c", 8))))
            await asyncio.gather(*calls)  # far before the window is over: the batch is full
        assert one.metric("admission_waves_total") == 1
        assert one.metric("completion_tokens_total") == 24

    asyncio.run(run())


def test_the_window_releases_what_there_is_when_it_is_over(start, model) -> None:
    one = start(models=[model(model_batch_execute_timeout_ms=300)]).loaded()

    async def run() -> None:
        async with client(one) as api:
            answers = await asyncio.gather(*(api.chat.completions.create(**ask(n, 8)) for n in "ab"))
            assert [answer.usage.completion_tokens for answer in answers] == [8, 8]
        assert one.metric("admission_waves_total") == 1

    asyncio.run(run())
