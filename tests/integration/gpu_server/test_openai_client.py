"""The `openai` client, unmodified, against a real server: every call it makes, every error class it raises."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import openai
import pytest

TICKET = {
    "type": "object",
    "properties": {
        "category": {"enum": ["billing", "bug", "other"]},
        "urgent": {"type": "boolean"},
        "summary": {"type": "string", "maxLength": 12},
    },
    "required": ["category", "urgent", "summary"],
    "additionalProperties": False,
}


def ask(content: str = "hello there", **fields: Any) -> dict[str, Any]:
    return {"model": "random", "messages": [{"role": "user", "content": content}], "max_tokens": 12, **fields}


def test_models_are_listed(server) -> None:
    with server.client() as client:
        assert [model.id for model in client.models.list()] == ["random"]


def test_chat_whole_and_streamed_say_the_same(server) -> None:
    with server.client() as client:
        whole = client.chat.completions.create(**ask(temperature=0))
        assert whole.choices[0].finish_reason == "length"
        assert whole.usage.completion_tokens == 12
        with client.chat.completions.create(
            **ask(temperature=0, stream=True, stream_options={"include_usage": True})
        ) as stream:
            chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5  # in pieces, not at once
    assert chunks[-1].usage.model_dump() == whole.usage.model_dump()


def test_prompt_tokens_are_counted_as_the_engine_counts_them(server) -> None:
    """The limit is checked on the server's own count; usage is the engine's."""
    messages = [
        {"role": "system", "content": "Classify a support message.\n\n"},
        {"role": "user", "content": "  Where is my order?\n  é 🙂 <|im_end|> "},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Well?"},
    ]
    with server.client() as client:
        usage = client.chat.completions.create(model="random", messages=messages, max_tokens=1).usage
        room = 512 - usage.prompt_tokens
        client.chat.completions.create(
            model="random", messages=messages, max_tokens=room, stop=["a", "e", "o", "i"]
        )
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="random", messages=messages, max_tokens=room + 1)


@pytest.mark.parametrize("stream", [False, True])
def test_json_schema_holds_at_temperature_one(server, stream: bool) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "ticket", "strict": True, "schema": TICKET}}
    with server.client() as client:
        for _ in range(5):
            answer = client.chat.completions.create(
                **ask(response_format=wanted, temperature=1, stream=stream) | {"max_tokens": 120}
            )
            if stream:
                with answer:
                    text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            else:
                assert answer.choices[0].finish_reason == "stop"
                text = answer.choices[0].message.content
            jsonschema.validate(json.loads(text), TICKET)


def test_json_object(server) -> None:
    with server.client() as client:
        answer = client.chat.completions.create(
            **ask(response_format={"type": "json_object"}, temperature=0) | {"max_tokens": 300}
        )
        if answer.choices[0].finish_reason == "stop":
            assert isinstance(json.loads(answer.choices[0].message.content), dict)
        else:
            assert answer.choices[0].message.content.startswith("{")


@pytest.mark.parametrize("stream", [False, True])
def test_stop_cuts_the_answer(server, stream: bool) -> None:
    with server.client() as client:
        full = client.chat.completions.create(**ask(temperature=0)).choices[0].message.content
        stop = full[7:11]
        answer = client.chat.completions.create(**ask(temperature=0, stop=stop, stream=stream))
        if stream:
            with answer:
                chunks = list(answer)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            finish = chunks[-1].choices[0].finish_reason
        else:
            text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert (text, finish) == (full[: full.index(stop)], "stop")


def test_a_seed_where_the_engine_has_none(server) -> None:
    with server.client() as client:
        client.chat.completions.create(**ask(seed=5, temperature=0))
        with pytest.raises(openai.BadRequestError, match="seed"):
            client.chat.completions.create(**ask(seed=5, temperature=1))


@pytest.mark.parametrize("token", ["wrong-token", "integration-toke", "integration-tokenn"])
def test_a_wrong_token(server, token: str) -> None:
    with server.client(token) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(**ask())


def test_no_token(server) -> None:
    assert server.get("/live", token=None).status_code == 200
    assert server.get("/ready", token=None).status_code == 401


def test_an_unknown_model_lists_the_known(server) -> None:
    with server.client() as client, pytest.raises(openai.NotFoundError, match="random") as caught:
        client.chat.completions.create(**ask() | {"model": "gpt-9"})
    assert caught.value.code == "model_not_found"


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(server) -> None:
    with server.client() as client:
        with pytest.raises(openai.BadRequestError, match="512") as caught:
            client.chat.completions.create(**ask("word " * 600))
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(openai.BadRequestError, match="500"):
            client.chat.completions.create(**ask() | {"max_tokens": 500})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "string", "format": "uri"},
        {"type": "array", "uniqueItems": True},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "object", "properties": {f"k{index}": {"type": "string"} for index in range(700)}},
        {"type": "object", "properties": {f"k{index}": {"type": "string"} for index in range(3000)}},
        {"enum": [f"value {index}" for index in range(50_000)]},
    ],
    ids=lambda schema: str(schema)[:50],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_enforced_is_refused_and_the_server_serves_on(
    server, schema: dict[str, Any], stream: bool
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with server.client() as client:
        before = client.chat.completions.create(**ask(temperature=0)).choices[0].message.content
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**ask(response_format=wanted, stream=stream))
        assert caught.value.code == "invalid_json_schema"
        assert len(str(caught.value)) < 1000
        after = client.chat.completions.create(**ask(temperature=0)).choices[0].message.content
    assert after == before


def test_429_when_the_queue_is_full(start, model, wait_until) -> None:
    one = start(models=[model(max_model_concurrency=1, max_queue=0, max_model_len=4000)]).loaded()
    with one.client() as client:
        with client.chat.completions.create(
            **ask(stream=True) | {"max_tokens": 3900}, extra_body={"ignore_eos": True}
        ) as stream:
            next(iter(stream))
            with pytest.raises(openai.RateLimitError) as caught:
                client.chat.completions.create(**ask())
            assert int(caught.value.response.headers["retry-after"]) >= 1
        wait_until(lambda: one.metric("running") == 0, "the place of the stream that was closed")
        client.chat.completions.create(**ask())


def test_503_while_a_model_is_not_ready(start, model, tmp_path) -> None:
    one = start(models=[model(), model(model_id="broken", path=str(tmp_path / "nothing"))]).loaded()
    with one.client() as client:
        with pytest.raises(openai.InternalServerError, match="nothing does not exist") as caught:
            client.chat.completions.create(**ask() | {"model": "broken"})
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"]
        client.chat.completions.create(**ask())


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(server, stream: bool) -> None:
    with server.client() as client:
        alone = client.chat.completions.create(**ask(temperature=0))
        options = {"stream_options": {"include_usage": True}} if stream else {}
        answer = client.chat.completions.create(**ask(temperature=0, n=3, stream=stream, **options))
        texts = dict.fromkeys(range(3), "")
        if stream:
            with answer:
                for chunk in answer:
                    for choice in chunk.choices:
                        texts[choice.index] += choice.delta.content or ""
            usage = chunk.usage
        else:
            texts |= {choice.index: choice.message.content for choice in answer.choices}
            usage = answer.usage
    assert set(texts.values()) == {alone.choices[0].message.content}
    assert usage.prompt_tokens == alone.usage.prompt_tokens
    assert usage.completion_tokens == 3 * alone.usage.completion_tokens


def test_what_a_model_can_do_is_told_and_the_rest_is_refused_by_name(server) -> None:
    with server.client() as client:
        (model,) = client.models.list().data
        assert client.models.retrieve("random") == model
        able = model.abilities
        if not able["tools"]:
            tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
            with pytest.raises(openai.BadRequestError, match="tools"):
                client.chat.completions.create(**ask(tools=[tool]))
        if not able["embeddings"]:
            with pytest.raises(openai.BadRequestError, match="embeddings"):
                client.embeddings.create(model="random", input="x")
        with pytest.raises(openai.NotFoundError, match="random"):
            client.models.retrieve("house/other")


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities(server, stream: bool) -> None:
    with server.client() as client:
        assert client.models.retrieve("random").abilities["logprobs"] is not None
        answer = client.chat.completions.create(
            **ask(temperature=0, logprobs=True, top_logprobs=2, stream=stream)
        )
        if stream:
            with answer:
                told = [
                    token
                    for chunk in answer
                    if chunk.choices and chunk.choices[0].logprobs
                    for token in chunk.choices[0].logprobs.content
                ]
        else:
            told = answer.choices[0].logprobs.content
    assert len(told) == 12
    for token in told:
        assert token.logprob <= 0
        assert max(each.logprob for each in token.top_logprobs) >= token.logprob - 1e-4


@pytest.mark.parametrize("stream", [False, True])
def test_raw_text(server, stream: bool) -> None:
    with server.client() as client:
        assert client.models.retrieve("random").abilities["completions"]
        asked = {"model": "random", "prompt": ["once upon", "a time"], "max_tokens": 9, "temperature": 0}
        answer = client.completions.create(**asked, stream=stream, extra_body={"ignore_eos": True})
        texts = ["", ""]
        if stream:
            with answer:
                for chunk in answer:
                    for choice in chunk.choices:
                        texts[choice.index] += choice.text
        else:
            texts = [choice.text for choice in answer.choices]
            assert answer.usage.completion_tokens == 18
        whole = client.completions.create(**asked, extra_body={"ignore_eos": True})
        assert texts == [choice.text for choice in whole.choices]
        assert texts[0] != texts[1]
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model="random", prompt="word " * 600, max_tokens=1)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")


def test_flex_is_taken_and_echoed(server) -> None:
    with server.client() as client:
        assert client.chat.completions.create(**ask(service_tier="flex")).service_tier == "flex"
        assert client.chat.completions.create(**ask(service_tier="auto")).service_tier == "default"
