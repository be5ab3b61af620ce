import asyncio
import json

import anyio
import httpx
import pytest
from pydantic import SecretStr

from conduit.compute import NodeSpec
from conduit.errors import (
    ModelNotFound,
    NoReplica,
    NotAuthorized,
    Overloaded,
    PromptTooLong,
    ReplicaLost,
    RequestRefused,
    RequestTimeout,
)
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.dispatch import dispatch
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.probes import Probes
from conduit.lmlite.replicas.states import ReplicaState
from conduit.lmlite.request import LMRequest, Sampling
from conduit.testing import FakeProvider
from support.replicas import Replicas, completion, error

REQUEST = LMRequest("m", ({"role": "user", "content": "hi"},))


class Scene:
    """Replicas `a`, `b`, ... in memory, and requests sent to them.

    `attempts` tells how many each request that was answered took.
    """

    def __init__(self, names, answer=None):
        self.provider = FakeProvider()
        for name in names:
            asyncio.run(self.provider.create(NodeSpec(name, "o", "d", "p", {})))
        self.http = Replicas(self.provider, answer)
        self.attempts = []
        self.pool = Pool([Replica(n, f"http://{n}", SecretStr("token"), f"/log/{n}") for n in names])

    def send(self, request=REQUEST, *, timeout_s=5.0, emit=None, times=1):
        async def awaited(piece):
            emit(piece)

        async def run():
            client, replies = Client(self.http), []
            Probes(self.pool, client)
            try:
                for _ in range(times):
                    sent = []
                    reply = await dispatch(
                        self.pool,
                        client,
                        request,
                        timeout_s=timeout_s,
                        emit=emit and awaited,
                        sent=sent.append,
                    )
                    replies.append(reply)
                    self.attempts.append(len(sent))
                return replies
            finally:
                await client.aclose()

        return asyncio.run(run())

    @property
    def order(self):
        return "".join(name for name, _ in self.http.asked)


def dies(scene_of, name):
    """An answer during which the replica of that name is killed."""

    def answer(node_id, request):
        if node_id == name:
            scene_of().provider.kill(node_id)
            raise httpx.ReadError("connection reset")
        return completion("ok")

    return answer


def sse(*events, done=True):
    lines = [f"data: {json.dumps(e)}" for e in events] + (["data: [DONE]"] if done else [])
    return httpx.Response(
        200, content="\n\n".join(lines).encode(), headers={"content-type": "text/event-stream"}
    )


def delta(text, reason=None):
    return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}


def test_requests_go_round():
    scene = Scene("ab")
    assert [reply.replica for reply in scene.send(times=4)] == ["a", "b", "a", "b"]


def test_the_reply_holds_text_reason_and_tokens():
    [reply] = Scene("a", lambda *_: completion("hi", reason="length")).send()
    assert (reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == (
        "hi",
        "length",
        3,
        2,
    )


def test_only_what_was_asked_for_is_sent():
    scene = Scene("a")
    scene.send()
    assert scene.http.asked[0][1] == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.0,
    }
    scene.send(
        LMRequest("m", (), sampling=Sampling(0.5, 7, ("x",), 3, 0.9), response_format={"type": "text"})
    )
    assert scene.http.asked[1][1] == {
        "model": "m",
        "messages": [],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["x"],
        "seed": 3,
        "top_p": 0.9,
        "response_format": {"type": "text"},
    }


def test_a_replica_killed_in_mid_answer_is_set_aside_and_the_request_goes_to_another():
    scene = Scene("ab", dies(lambda: scene, "a"))
    replies = scene.send(times=3)
    assert [reply.replica for reply in replies] == ["b", "b", "b"]
    assert scene.attempts == [2, 1, 1]
    assert [r.node_id for r in scene.pool.dead()] == ["a"]


def test_with_no_other_left_the_loss_is_told_with_replica_and_log():
    scene = Scene("a", dies(lambda: scene, "a"))
    with pytest.raises(ReplicaLost, match="No other replica is left of 1") as caught:
        scene.send()
    assert caught.value.replica == "a"
    assert "/log/a" in caught.value.hint


def test_a_replica_that_refuses_connections_is_passed_over():
    scene = Scene("ab")
    scene.provider.kill("a")
    assert scene.send()[0].replica == "b"


def test_when_all_refuse_connections_the_request_was_not_worked_on():
    scene = Scene("ab")
    scene.provider.kill("a")
    scene.provider.kill("b")
    with pytest.raises(NoReplica) as caught:
        scene.send()
    assert caught.value.retry_after_s is None


def test_a_replica_that_comes_back_gets_requests_again():
    scene = Scene("a")
    scene.pool.refused(scene.pool.replicas[0])
    assert scene.send()[0].replica == "a"


def test_a_connection_that_breaks_while_the_replica_lives_is_tried_once_more_on_it():
    failures = [httpx.RemoteProtocolError("Server disconnected")]

    def answer(*_):
        if failures:
            raise failures.pop()
        return completion("ok")

    scene = Scene("a", answer)
    scene.send()
    assert scene.attempts == [2]
    assert scene.pool.dead() == []


def test_a_replica_that_breaks_every_connection_is_not_asked_for_ever():
    def answer(*_):
        raise httpx.RemoteProtocolError("Server disconnected")

    scene = Scene("a", answer)
    with pytest.raises(ReplicaLost):
        scene.send()
    assert scene.order == "aa"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(401, "bad token"), NotAuthorized),
        (error(404, "no model", "model_not_found"), ModelNotFound),
        (error(400, "1500 + 64 > 1400", "context_length_exceeded"), PromptTooLong),
        (error(400, "bad parameter"), RequestRefused),
        (error(413, "too large"), RequestRefused),
        (error(500, "broken"), RequestRefused),
        (httpx.Response(501, content=b"<html>"), RequestRefused),
        (httpx.Response(200, content=b"<html>"), RequestRefused),
        (httpx.Response(200, json={"choices": []}), RequestRefused),
    ],
)
def test_a_refusal_is_typed_tried_once_and_sets_no_replica_aside(response, expected):
    scene = Scene("ab", lambda *_: response)
    with pytest.raises(RequestRefused if expected is not ModelNotFound else ModelNotFound) as caught:
        scene.send()
    assert type(caught.value) is expected
    assert caught.value.hint
    assert scene.order == "a"
    assert scene.pool.dead() == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_what_a_proxy_says_in_a_replicas_place_sends_the_request_elsewhere(streamed):
    page = httpx.Response(502, content=b"<html>Bad gateway</html>")
    good = sse(delta("ok", "stop")) if streamed else completion("ok")
    scene = Scene("ab", lambda node_id, _: page if node_id == "a" else good)
    pieces = []
    [reply] = scene.send(emit=pieces.append if streamed else None)
    assert (reply.replica, reply.text) == ("b", "ok")
    assert pieces == (["ok"] if streamed else [])


def test_a_replica_whose_proxy_reaches_nothing_is_dead_once_it_stays_so():
    scene = Scene("a")
    scene.http.ready = httpx.Response(404, content=b"<html>no such pod</html>")
    now = scene.pool._clock()

    async def ask():
        probes = Probes(scene.pool, Client(scene.http))
        for later in (0, 1, 5):
            scene.pool._clock = lambda: now + later  # noqa: B023
            assert not await probes.look(scene.pool.replicas[0])
            yield scene.pool.state(scene.pool.replicas[0], "m")

    async def run():
        return [state async for state in ask()]

    assert asyncio.run(run()) == [ReplicaState.BUSY, ReplicaState.BUSY, ReplicaState.DEAD]


def test_the_numbers_of_a_prompt_too_long_are_told():
    scene = Scene("a", lambda *_: error(400, "1500 + 64 > 1400", "context_length_exceeded"))
    with pytest.raises(PromptTooLong, match=r"1500 \+ 64 > 1400"):
        scene.send()


def test_a_full_queue_sends_the_request_to_another_replica_and_sets_none_aside():
    scene = Scene("ab", lambda n, _: error(429, retry_after="30") if n == "a" else completion("ok"))
    assert scene.send()[0].replica == "b"
    assert scene.pool.dead() == []


def test_when_all_queues_are_full_the_request_waits_as_long_as_told():
    answers = [error(429, retry_after="0.01"), error(429, retry_after="0.01"), completion("ok")]
    scene = Scene("a", lambda *_: answers.pop(0))
    scene.send()
    assert scene.attempts == [3]


def test_queues_that_stay_full_beyond_the_deadline_are_told_with_the_time_to_come_back():
    scene = Scene("ab", lambda *_: error(429, "queue full", retry_after="30"))
    with pytest.raises(Overloaded) as caught:
        scene.send(timeout_s=1)
    assert caught.value.retry_after_s == 30
    assert sorted(scene.order) == ["a", "b"]


def test_a_replica_that_is_not_ready_yet_is_waited_for():
    answers = [error(503, "starting", retry_after="0.01"), completion("ok")]
    scene = Scene("a", lambda *_: answers.pop(0))
    assert scene.send()[0].text == "ok"


def test_no_answer_within_the_deadline_is_a_timeout():
    async def answer(*_):
        await anyio.sleep_forever()

    scene = Scene("a", answer)
    with pytest.raises(RequestTimeout, match=r"0\.05 s") as caught:
        scene.send(timeout_s=0.05)
    assert caught.value.timeout_s == 0.05


def test_a_stream_hands_out_its_pieces():
    scene = Scene(
        "a", lambda *_: sse(delta("a"), delta("b", "stop"), {"choices": [], "usage": {"prompt_tokens": 4}})
    )
    pieces = []
    [reply] = scene.send(emit=pieces.append)
    assert (pieces, reply.text, reply.finish_reason, reply.prompt_tokens) == (["a", "b"], "ab", "stop", 4)
    assert scene.http.asked[0][1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("said", "first_token_s"),
    [("250.5", 0.2505), ("0", 0.0), (None, None), ("soon", None), ("nan", None), ("-1", None), ("inf", None)],
)
def test_the_first_token_of_a_whole_answer_is_when_the_server_says(said, first_token_s):
    answer = completion("ok")
    if said is not None:
        answer.headers["x-first-token-ms"] = said
    [reply] = Scene("a", lambda *_: answer).send()
    assert reply.first_token_s == first_token_s


def test_the_first_token_of_a_stream_is_when_it_came_be_it_a_thought():
    def first_token_s(*events):
        [reply] = Scene("a", lambda *_: sse(*events)).send(emit=lambda _: None)
        return reply.first_token_s

    role = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    assert first_token_s(role, delta("", "stop")) is None
    assert first_token_s(role, delta("a")) > 0
    assert first_token_s(role, {"choices": [{"delta": {"reasoning": "hm"}}]}) > 0


@pytest.mark.parametrize("channel", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_from_whichever_channel_it_comes_in(channel):
    message = {"role": "assistant", "content": None, channel: "hm"}
    body = {"choices": [{"message": message, "finish_reason": None}], "usage": None}
    [reply] = Scene("a", lambda *_: httpx.Response(200, json=body)).send()
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("", "hm", "stop")
    events = [
        {"choices": [{"delta": {"role": "assistant", "content": "", channel: None}}], "error": None},
        {"choices": [{"delta": {"content": None, channel: "h"}}]},
        {"choices": [{"delta": {channel: "m"}}]},
        {"choices": [{"delta": {"content": "4"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"completion_tokens": 3}},
    ]
    pieces = []
    [reply] = Scene("a", lambda *_: sse(*events)).send(emit=pieces.append)
    assert (pieces, reply.reasoning, reply.text, reply.completion_tokens) == (["4"], "hm", "4", 3)


def test_reasoning_that_comes_under_both_names_counts_once():
    message = {"content": "4", "reasoning_content": "hm", "reasoning": "hm"}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    [reply] = Scene("a", lambda *_: httpx.Response(200, json=body)).send()
    assert reply.reasoning == "hm"


def test_the_words_of_a_refusal_are_no_answer():
    message = {"content": None, "refusal": "I will not."}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    [reply] = Scene("a", lambda *_: httpx.Response(200, json=body)).send()
    assert (reply.text, reply.refusal) == ("", "I will not.")
    deltas = [{"choices": [{"delta": {"refusal": part}}]} for part in ("I will", " not.")]
    [reply] = Scene("a", lambda *_: sse(*deltas)).send(emit=lambda _: None)
    assert (reply.text, reply.refusal) == ("", "I will not.")


@pytest.mark.parametrize(
    "event", [[], {"choices": [7]}, {"choices": [{"delta": {"content": [{"type": "text"}]}}]}, 7]
)
def test_an_event_that_is_no_chat_is_typed(event):
    with pytest.raises(RequestRefused, match="no chat completion"):
        Scene("a", lambda *_: sse(event)).send(emit=lambda _: None)


def test_a_stream_lost_before_its_first_piece_is_sent_again():
    def answer(node_id, _):
        if node_id == "a":
            scene.provider.kill("a")
            return sse(done=False)
        return sse(delta("b", "stop"))

    scene = Scene("ab", answer)
    pieces = []
    [reply] = scene.send(emit=pieces.append)
    assert (pieces, reply.replica) == (["b"], "b")


def test_a_stream_lost_after_its_first_piece_is_not_sent_again():
    scene = Scene("ab", lambda *_: sse(delta("a"), done=False))
    pieces = []
    with pytest.raises(ReplicaLost):
        scene.send(emit=pieces.append)
    assert (pieces, scene.order) == (["a"], "a")


def test_an_error_within_a_stream_is_raised():
    scene = Scene("a", lambda *_: sse({"error": {"message": "engine broke"}}))
    with pytest.raises(RequestRefused, match="engine broke"):
        scene.send(emit=lambda _: None)
