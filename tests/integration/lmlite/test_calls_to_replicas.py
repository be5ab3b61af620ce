import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import openai
import pytest
from pydantic import SecretStr

from conduit import settings, store
from conduit.errors import ModelNotFound, NotAuthorized, OutputTruncated, PromptTooLong, RequestTimeout
from conduit.lmlite import LMLiteResource, LMRequest, ModelConfig, block_call_id, flow_run_id
from conduit.lmlite.calls.calling import _client
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.pool import Replica

CHAT = [{"role": "user", "content": "hi there"}]


@dataclass
class GreetingInput:
    name: str
    mood: str | None = None


@dataclass
class Greeting:
    tone: Literal["warm", "cool"]
    loud: bool


def log():
    return store.open_store(settings.load()).model_calls(limit=1000)


def test_both_call_forms_answer_and_leave_a_row_in_the_run_log(deploy, weights):
    lm = deploy()
    with lm:
        token = flow_run_id.set("run-1")
        text = lm(model_id=str(weights), messages=CHAT, system_message="You are a greeter", max_tokens=8)
        flow_run_id.reset(token)
        value = lm(
            model_id=str(weights),
            messages=None,
            input=GreetingInput("Alice", mood="excited"),
            output=Greeting,
        )
        assert isinstance(text, str)
        assert isinstance(value, Greeting)
        typed, chat = log()
        assert (chat.flow_run_id, typed.flow_run_id) == ("run-1", None)
        assert (typed.error, typed.attempts, chat.completion_tokens) == (None, 1, 8)
        assert typed.prompt_tokens > chat.prompt_tokens > 0
        assert typed.replica in {replica.node_id for replica in lm.health().replicas}
        assert typed.deployment_key == lm.health().key
        assert typed.latency_s > 0
        assert {typed.engine, chat.engine} == {"mistralrs"}
        assert typed.revision == chat.revision == lm.loaded(str(weights)).revision is not None
        assert 0 < typed.first_token_s < typed.latency_s
        block_token = block_call_id.set("c" * 32)
        list(lm.stream(model_id=str(weights), messages=CHAT, max_tokens=8))
        block_call_id.reset(block_token)
        streamed = log()[0]
        assert (streamed.block_call_id, typed.block_call_id) == ("c" * 32, None)
        assert 0 < streamed.first_token_s < streamed.latency_s


def test_sync_async_stream_and_batch_give_the_same_text(deploy):
    with deploy() as lm:
        call = {"messages": CHAT, "max_tokens": 24}
        text = lm(**call)

        async def asynchronous():
            return await lm.acall(**call), [piece async for piece in lm.astream(**call)]

        atext, apieces = asyncio.run(asynchronous())
        pieces = list(lm.stream(**call))
        assert {text, atext, "".join(pieces), "".join(apieces), *lm.batch([call] * 5)} == {text}
        # A busy machine may hand out a short answer at once, and no long one.
        assert len(list(lm.stream(messages=CHAT, max_tokens=300))) > 1


def test_a_hundred_threads_on_two_replicas_get_a_hundred_typed_results(deploy):
    with deploy(concurrency=50, replicas=2) as lm, ThreadPoolExecutor(100) as threads:
        inputs = [GreetingInput(f"guest {i}") for i in range(100)]
        results = list(threads.map(lambda value: lm(input=value, output=Greeting), inputs))
        assert all(isinstance(result, Greeting) for result in results)
        rows = log()
        assert len(rows) == 100
        shares = [sum(row.replica == r.node_id for row in rows) for r in lm.health().replicas]
        assert shares == [50, 50]


def test_a_full_queue_is_waited_for(deploy, processes, until, requests_waiting_at):
    # 120 requests at once, where 16 run and 32 wait: the server refuses some with 429, and they come again.
    with deploy(concurrency=16, max_queue=32) as lm, ThreadPoolExecutor(120) as threads:
        [process] = processes()
        port = int(lm.health().replicas[0].url.rsplit(":", 1)[1])
        os.kill(process.pid, signal.SIGSTOP)
        try:
            calls = [threads.submit(lm, messages=CHAT, max_tokens=2) for _ in range(120)]
            until(lambda: requests_waiting_at(port) >= 120)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert len({call.result(40) for call in calls}) == 1
        assert max(row.attempts for row in log()) > 1


def test_a_prompt_too_long_is_refused_with_the_numbers(deploy):
    with deploy(max_model_len=64) as lm:
        with pytest.raises(PromptTooLong, match="64") as caught:
            lm(messages=[{"role": "user", "content": "many words " * 200}])
        assert "max_model_len" in caught.value.hint
        assert lm(messages=CHAT, max_tokens=2) is not None
        assert [row.error for row in log()] == [None, "model.prompt_too_long"]


def test_an_answer_cut_at_the_token_limit_is_no_value(deploy):
    with deploy() as lm, pytest.raises(OutputTruncated):
        lm(output=Greeting, max_tokens=2)


def test_a_deadline_ends_the_call_and_leaves_the_replica_serving(deploy):
    with deploy() as lm:
        with pytest.raises(RequestTimeout):
            lm(messages=CHAT, max_tokens=4000, timeout_s=0.3)
        assert lm(messages=CHAT, max_tokens=2) is not None


def test_closing_a_stream_early_leaves_the_replica_serving(deploy):
    with deploy(concurrency=1) as lm:
        stream = lm.stream(messages=CHAT, max_tokens=4000)
        next(stream)
        stream.close()
        assert lm(messages=CHAT, max_tokens=2, timeout_s=20) is not None


def test_wrong_token_and_unknown_model_at_the_server_are_typed(deploy):
    with deploy() as lm:
        [endpoint] = lm.endpoints
        replica = Replica("n1", endpoint.url.removesuffix("/v1"), endpoint.token)
        request = LMRequest(lm.model_ids[0], tuple(CHAT))

        async def send(replica, request):
            return await _client(portal()).complete(replica, request)

        with pytest.raises(NotAuthorized) as caught:
            portal().call(send, replace(replica, token=SecretStr("wrong-token")), request)
        assert caught.value.status == 401
        with pytest.raises(ModelNotFound, match="another"):
            portal().call(send, replica, replace(request, model_id="another"))


def test_the_openai_client_works_on_an_endpoint(deploy, weights):
    with deploy() as lm:
        [endpoint] = lm.endpoints
        assert endpoint.url.endswith("/v1")
        assert endpoint.token.get_secret_value() not in repr(endpoint)
        with openai.OpenAI(base_url=endpoint.url, api_key=endpoint.token.get_secret_value()) as client:
            answer = client.chat.completions.create(
                model=str(weights), messages=CHAT, max_tokens=5, temperature=0
            )
            assert answer.choices[0].message.content == lm(messages=CHAT, max_tokens=5)


def test_one_lmlite_may_serve_several_models(weights, tmp_path, deploy):
    other = tmp_path / "other"
    other.symlink_to(weights)
    models = [ModelConfig(str(weights), max_model_len=256), ModelConfig(str(other), max_model_len=256)]
    with LMLiteResource(models, idle_timeout=120) as lm:
        for model in models:
            assert lm(model_id=model.model_id, messages=CHAT, max_tokens=2) is not None
        assert set(lm.health().replicas[0].models.values()) == {"ready"}
