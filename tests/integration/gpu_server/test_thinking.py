"""A reasoning model's thinking has a channel of its own; a schema's value is always the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import thinking_model

ASK: dict[str, Any] = {
    "model": "thinking",
    "messages": [{"role": "user", "content": "hi there"}],
    "max_tokens": 12,
    "temperature": 0,
}
YES_OR_NO = {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, serve) -> Any:
    folder = thinking_model.make(tmp_path_factory.mktemp("thinking") / "m")
    model = {"model_id": "thinking", "path": str(folder), "max_model_len": 512, "max_model_concurrency": 2}
    with serve(models=[model]) as server, server.client() as client:
        yield client


def test_thinking_that_the_prompt_opened_is_no_answer(client: Any) -> None:
    message = client.chat.completions.create(**ASK).choices[0].message
    assert message.content == ""
    assert message.reasoning_content.strip()


def test_a_stream_tells_thinking_apart_too(client: Any) -> None:
    whole = client.chat.completions.create(**ASK).choices[0].message
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**ASK, stream=True)]
    assert not any(delta.content for delta in deltas)
    thinking = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thinking == whole.reasoning_content


def test_under_a_schema_the_value_is_the_content(client: Any) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "output", "schema": YES_OR_NO}}
    message = client.chat.completions.create(**ASK, response_format=form).choices[0].message
    assert isinstance(json.loads(message.content), list)
    assert not hasattr(message, "reasoning_content")


def test_an_answer_may_be_sent_back_whole_as_part_of_the_conversation(client: Any) -> None:
    first = client.chat.completions.create(**ASK)
    conversation = [*ASK["messages"], first.choices[0].message, {"role": "user", "content": "Well?"}]
    second = client.chat.completions.create(**{**ASK, "messages": conversation})
    bare = [*ASK["messages"], {"role": "assistant", "content": ""}, {"role": "user", "content": "Well?"}]
    without = client.chat.completions.create(**{**ASK, "messages": bare})
    assert second.usage.prompt_tokens == without.usage.prompt_tokens
