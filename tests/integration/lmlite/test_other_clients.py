"""Clients that nobody here wrote, unmodified, at the one address over a real replica."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import openai
import pytest
from pydantic import BaseModel

from conduit import LMLite, ModelConfig
from support.client_environments import litellm_python

MODEL = "conduit/tiny"
ASKED = "Where is my parcel? It should have come on Monday."
MESSAGES = [{"role": "user", "content": ASKED}]


class Ticket(BaseModel):
    category: str
    urgent: bool


@pytest.fixture(scope="module")
def front():
    config = ModelConfig(MODEL, max_model_concurrency=8)
    with LMLite(config, idle_timeout=120) as lm, lm.serve() as served:
        yield SimpleNamespace(url=served.url, token=served.token.get_secret_value())


@pytest.fixture
def client(front):
    with openai.OpenAI(base_url=front.url, api_key=front.token, max_retries=0, timeout=40) as made:
        yield made


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_openai_chat_whole_and_streamed(client):
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 16, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    assert whole.usage.completion_tokens > 0
    with client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_openai_structured_outputs(client):
    asked = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 200}
    parsed = client.chat.completions.parse(**asked, response_format=Ticket)
    assert isinstance(parsed.choices[0].message.parsed, Ticket)


def test_openai_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_openai_errors_are_the_ones_it_knows(client, front):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=MODEL, input="x")
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=[tool])
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 5000}])
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, n=0)
    with (
        openai.OpenAI(base_url=front.url, api_key="wrong-token", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_langchain_invokes_streams_and_structures(front):
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        model=MODEL, base_url=front.url, api_key=front.token, temperature=0, max_tokens=64, max_retries=0
    )
    whole = model.invoke(ASKED)
    assert whole.content
    assert "".join(chunk.content for chunk in model.stream(ASKED)) == whole.content
    structured = model.with_structured_output(Ticket, method="json_schema")
    assert isinstance(structured.invoke(ASKED), Ticket)


LITELLM = """
import json, os, sys, warnings
import litellm
litellm.suppress_debug_info = True
asked = dict(model="openai/conduit/tiny", api_base=os.environ["URL"], api_key=os.environ["TOKEN"],
             messages=[{"role": "user", "content": os.environ["ASKED"]}],
             max_tokens=16, temperature=0, num_retries=0)
whole = litellm.completion(**asked)
chunks = list(litellm.completion(**asked, stream=True))
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
try:
    litellm.completion(**{**asked, "model": "openai/gpt-9"})
except litellm.NotFoundError:
    refused = True
print(json.dumps({"whole": whole.choices[0].message.content, "streamed": streamed, "refused": refused}))
"""


@pytest.mark.timeout(300)  # the first time it makes the environment
def test_litellm_completes_and_streams(front, client):
    known = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=16, temperature=0)
    done = subprocess.run(
        [litellm_python(), "-c", LITELLM],
        env=own_environment(
            URL=front.url, TOKEN=front.token, ASKED=ASKED, LITELLM_LOCAL_MODEL_COST_MAP="True"
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = known.choices[0].message.content
    assert json.loads(done.stdout.splitlines()[-1]) == {"whole": text, "streamed": text, "refused": True}


def test_the_llm_tool_answers_and_streams(front, client, tmp_path):
    # JSON is YAML, too.
    entry = {"model_id": "tiny", "model_name": MODEL, "api_base": front.url, "api_key_name": "conduit"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([entry]))
    (tmp_path / "keys.json").write_text(json.dumps({"conduit": front.token}))
    known = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=16, temperature=0)

    def llm(*arguments: str) -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "llm",
                "-m",
                "tiny",
                *arguments,
                "-o",
                "max_tokens",
                "16",
                "-o",
                "temperature",
                "0",
            ],
            env=own_environment(LLM_USER_PATH=str(tmp_path), HOME=str(tmp_path)),
            input=ASKED,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    assert llm() == llm("--no-stream") == known.choices[0].message.content.rstrip("\n")


def own_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would lead a client elsewhere."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "LITELLM_", "LLM_"))
    }
    own.pop("PYTHONPATH", None)
    return own | more
