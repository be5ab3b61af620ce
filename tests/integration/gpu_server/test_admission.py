"""Classes and callers on a real engine: who is served first, and that interrupted rows answer the same."""

from __future__ import annotations

import asyncio
from typing import Any

import openai

from support.long_requests import ask, client, until

ROWS = [f"row {number} of a batch" for number in range(10, 18)]


async def text(api: openai.AsyncOpenAI, content: str, tokens: int, **fields: Any) -> str:
    answer = await api.chat.completions.create(**ask(content, tokens, **fields))
    assert answer.usage.completion_tokens == tokens
    return answer.choices[0].message.content


def test_an_interactive_request_interrupts_batch_rows_which_answer_as_if_nothing_had_been(
    start, model
) -> None:
    one = start(models=[model(max_model_concurrency=4)]).loaded()

    async def run() -> None:
        async with client(one) as api:
            rows = [asyncio.create_task(text(api, row, 160, service_tier="flex")) for row in ROWS]
            await until(lambda: one.metric("running") == 4, "rows take all places")
            await until(lambda: one.metric("completion_tokens_total") > 8, "rows are answered")
            await text(api, "hi", 4)
            assert sum(row.done() for row in rows) < len(ROWS)  # it did not wait for them
            assert one.metric("cancelled_total") == 3  # all but the share of the batch
            interrupted = await asyncio.gather(*rows)
            assert interrupted == [await text(api, row, 160) for row in ROWS]
            assert len(set(interrupted)) == len(ROWS)

    asyncio.run(run())


def test_a_caller_with_one_request_does_not_wait_for_all_of_a_caller_with_many(start, model) -> None:
    one = start(models=[model(max_model_concurrency=1)]).loaded()

    async def run() -> None:
        async with client(one) as api:
            ended: list[str] = []

            async def call(caller: str) -> None:
                await text(api, "hi", 60, extra_headers={"x-conduit-caller": caller})
                ended.append(caller)

            many = [asyncio.create_task(call("many")) for _ in range(10)]
            await until(lambda: one.metric("queue_depth") >= 6, "they wait")
            before = len(ended)
            await asyncio.gather(*many, call("one"))
            assert ended.index("one") <= before + 3, ended  # a turn or two after it came, not after all

    asyncio.run(run())
