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


def urls(lm):
    return sorted(endpoint.url for endpoint in lm.endpoints)


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
        # The lost one is replaced without anybody asking for it.
        until(lambda: lm.health().replaced == 1)
        assert lm.ready
        assert {lm(**CHAT) for _ in range(2)} == {texts[0]}
        assert lives(second)
        assert len(processes()) == 2


def test_a_frozen_replica_is_found_dead_and_replaced_and_its_call_answered_by_the_other(
    deploy, processes, until, lives, requests_waiting_at
):
    with deploy(replicas=2) as lm, ThreadPoolExecutor(1) as threads:
        lm.up()
        frozen, _ = processes()
        port = port_of(lm, 0)
        os.kill(frozen.pid, signal.SIGSTOP)
        stuck = threads.submit(lm, **CHAT)
        until(lambda: requests_waiting_at(port))
        assert stuck.result(30) == lm(**CHAT)
        until(lambda: lm.health().replaced == 1)
        assert lm.ready
        assert not lives(frozen)


def test_idle_replicas_are_left_to_end_and_the_next_call_brings_both_back(deploy, processes, until):
    with deploy(replicas=2, idle_timeout=1.5) as lm:
        lm(**CHAT)
        until(lambda: not processes())
        assert isinstance(lm(**CHAT), str)
        until(lambda: lm.health().ready)


def test_what_another_process_replaced_is_picked_up(deploy, processes, until):
    with deploy(replicas=2) as lm, deploy(replicas=2) as other:
        for each in (lm, other):
            each.up()
        processes()[0].kill()
        other.batch([CHAT] * 4)
        until(lambda: other.health().ready)
        lm.batch([CHAT] * 4)
        until(lambda: len(urls(lm)) == 2 and urls(lm) == urls(other))
        assert len(processes()) == 2
        assert lm.health().replaced + other.health().replaced >= 1


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
