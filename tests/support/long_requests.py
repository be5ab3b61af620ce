"""Requests that run long enough to be watched, to a server's random model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import openai

TOKEN = "integration-token"


def ask(content: str, tokens: int, **fields: Any) -> dict[str, Any]:
    """A chat request that is answered with exactly so many tokens, the same each time."""
    return {
        "model": "random",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "temperature": 0,
        "extra_body": {"ignore_eos": True},
        **fields,
    }


def client(server: Any) -> openai.AsyncOpenAI:
    """OpenAI's own, which tries nothing twice."""
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0, timeout=50)


async def until(condition: Callable[[], Any], what: str) -> None:
    """Waits for the condition, for a while."""
    deadline = time.monotonic() + 20
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)
