import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest
from pydantic import Field

from conduit import settings, store
from conduit.errors import ReplicaLost

CHAT = {"messages": [{"role": "user", "content": "hi there"}], "max_tokens": 4}
LONG = Annotated[list[bool], Field(min_length=400, max_length=400)]


def port_of(lm, number):
    return int(lm.health().replicas[number].url.rsplit(":", 1)[1])


def test_requests_go_round_the_replicas(deploy):
    with deploy(replicas=2) as lm:
        lm.batch([CHAT] * 6)
        calls = store.open_store(settings.load()).model_calls()
        counts = [sum(call.replica == replica.node_id for call in calls) for replica in lm.health().replicas]
        assert counts == [3, 3]


def test_a_call_whose_replica_is_killed_in_mid_answer_is_answered_by_the_other(
    deploy, processes, until, lives, requests_waiting_at
):
    with deploy(replicas=2) as lm, ThreadPoolExecutor(2) as threads:
        lm.up()
        first, second = processes()
        port = port_of(lm, 0)
        # Stopped, it takes the request and does not answer: so it is in mid-answer when it is killed.
        os.kill(first.pid, signal.SIGSTOP)
        calls = [threads.submit(lm, **CHAT) for _ in range(2)]
        until(lambda: requests_waiting_at(port))
        os.kill(first.pid, signal.SIGKILL)
        texts = [call.result(30) for call in calls]
        assert texts[0] == texts[1]
        rows = store.open_store(settings.load()).model_calls()
        assert sorted(row.attempts for row in rows) == [1, 2]
        survivor = lm.health().replicas[1]
        assert {row.replica for row in rows} == {survivor.node_id}
        assert [replica.state for replica in lm.health().replicas] == ["lost", "ready"]
        assert lm(**CHAT) == texts[0]
        lm.up()
        assert lm.ready
        assert lives(second)


def test_with_no_replica_left_the_loss_is_told_with_the_log(deploy, processes, until):
    with deploy() as lm:
        pieces = lm.stream(messages=CHAT["messages"], max_tokens=3000)
        next(pieces)
        [process] = processes()
        process.kill()
        with pytest.raises(ReplicaLost) as caught:
            list(pieces)
        assert caught.value.replica == lm.health().replicas[0].node_id
        assert "log" in caught.value.hint
        # The call after that starts a new one.
        assert isinstance(lm(**CHAT), str)


def test_a_typed_stream_whose_replica_is_killed_begins_again_at_the_other(deploy, processes):
    with deploy(replicas=2) as lm:
        stream = lm.stream(output=LONG)
        assert next(stream).attempt == 1
        processes()[0].kill()
        *partials, last = stream
        assert len(last) == 400
        assert {partial.attempt for partial in partials} >= {2}
        [row] = store.open_store(settings.load()).model_calls()
        assert [attempt.error for attempt in row.attempt_log] == ["model.replica_lost", None]
        assert row.attempt_log[0].completion_tokens is None


def test_a_call_lost_with_the_last_replica_is_not_hung(deploy, processes, until, requests_waiting_at):
    with deploy() as lm, ThreadPoolExecutor(1) as threads:
        lm.up()
        [process] = processes()
        port = port_of(lm, 0)
        os.kill(process.pid, signal.SIGSTOP)
        call = threads.submit(lm, **CHAT)
        until(lambda: requests_waiting_at(port))
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ReplicaLost, match="No other replica is left of 1"):
            call.result(20)


def test_replicas_killed_between_calls_are_started_again_by_the_next(deploy, processes):
    with deploy(replicas=2) as lm:
        lm.up()
        for process in processes():
            process.kill()
            process.wait(10)
        assert isinstance(lm(**CHAT), str)
        assert lm.ready


def test_a_replica_that_hangs_does_not_hold_up_the_other(deploy, processes, until, requests_waiting_at):
    with deploy(replicas=2) as lm, ThreadPoolExecutor(1) as threads:
        lm.up()
        hung, _ = processes()
        port = port_of(lm, 0)
        os.kill(hung.pid, signal.SIGSTOP)
        try:
            stuck = threads.submit(lm, **CHAT)
            until(lambda: requests_waiting_at(port))
            text = lm(**CHAT)
            assert not stuck.done()
        finally:
            os.kill(hung.pid, signal.SIGCONT)
        assert stuck.result(30) == text
