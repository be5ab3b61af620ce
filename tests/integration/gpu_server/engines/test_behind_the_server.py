"""Engines over HTTP behind a real server process: what a caller and an operator see. On stand-ins."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from .conftest import LIMIT, STAND_IN


def entry(engine: str, **fields: Any) -> dict[str, Any]:
    return {
        "model_id": f"on-{engine}",
        "path": str(Path(__file__).parent),  # a stand-in reads no weights
        "engine": engine,
        "engine_command": STAND_IN,
        "max_model_len": LIMIT,
        "max_model_concurrency": 4,
        **fields,
    }


@pytest.fixture(scope="module")
def server(serve: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with serve(models=[entry("sglang"), entry("vllm")]) as running:
        yield running


@pytest.mark.parametrize("model", ["on-sglang", "on-vllm"])
def test_a_caller_gets_answers_and_streams(server: Any, model: str) -> None:
    with server.client() as client:
        messages = [{"role": "user", "content": "Name three colours."}]
        whole = client.chat.completions.create(model=model, messages=messages, temperature=0)
        assert whole.choices[0].message.content
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.prompt_tokens == 8
        chunks = client.chat.completions.create(model=model, messages=messages, temperature=0, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content


@pytest.mark.parametrize("model", ["on-sglang", "on-vllm"])
def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(server: Any, model: str) -> None:
    with server.client() as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "word " * (LIMIT + 1)}]
        )
    assert refused.value.code == "context_length_exceeded"
    assert str(LIMIT) in str(refused.value)


@pytest.mark.parametrize("model", ["on-sglang", "on-vllm"])
def test_a_schema_holds_through_the_server(server: Any, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    with server.client() as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello."}], response_format=form
        )
    assert set(json.loads(answer.choices[0].message.content)) == {"n"}


def test_a_server_that_is_killed_takes_its_engines_with_it(start: Callable[..., Any], tmp_path: Path) -> None:
    server = start(models=[entry("vllm")], log_dir=str(tmp_path / "logs")).loaded()
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert family
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    _, alive = psutil.wait_procs(family, timeout=15)
    assert not alive
