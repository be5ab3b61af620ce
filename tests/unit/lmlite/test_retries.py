"""An answer that is no value is asked for again, at most twice; what cannot get better is asked for once."""

import asyncio
import pickle
from dataclasses import dataclass
from typing import Literal

import pytest

from conduit import mdl
from conduit.errors import (
    ArgumentInvalid,
    NotAuthorized,
    OutputInvalid,
    OutputRefused,
    OutputTruncated,
    PromptTooLong,
    RequestRefused,
    UnsupportedType,
)
from conduit.lmlite import Attempt, LMLiteResource, override
from conduit.lmlite.calls.metering import Meter
from conduit.lmlite.calls.typed import ask, typed_request
from conduit.lmlite.request import LMReply
from conduit.testing import FakeLM

CHAT = [{"role": "user", "content": "hi"}]


@dataclass
class Ticket:
    category: Literal["billing", "bug"]
    urgent: bool


TICKET = Ticket("bug", urgent=True)
PROMPT = mdl.prompt(output=Ticket)
REQUEST = typed_request(PROMPT, None, model_id="m", request_id="r")
BAD = '{"category": "cake", "urgent": true}'
GOOD = '{"category":"bug","urgent":true}'


@pytest.fixture
def lm():
    return LMLiteResource("no/such-model")


def asked(*replies, prompt=PROMPT, sends=1):
    """The outcome of a call whose attempts get these replies, each at that sending, and the row that it leaves."""
    meter, waiting = Meter(REQUEST, ended=lambda *_: None), list(replies)

    async def send(request):
        for _ in range(sends):
            meter.sent(0.25)
        reply = waiting.pop(0)
        if isinstance(reply, Exception):
            meter.failed(reply, 0.1)
            raise reply
        meter.answered(reply, 0.1)
        return reply

    async def run():
        try:
            return await ask(prompt, REQUEST, send, meter)
        except Exception as error:
            return error

    outcome = asyncio.run(run())
    assert not waiting
    return outcome, meter.row(error=None, deployment_key="k")


def test_every_retry_repeats_the_first_messages_and_quotes_the_last_answer_with_its_errors(lm):
    other = '{"category": "bug", "urgent": "maybe so"}'
    with override(lm=FakeLM({"Ticket": [FakeLM.raw(BAD), FakeLM.raw(other), TICKET]})) as fake:
        assert lm(output=Ticket) == TICKET
    first, second, third = fake.calls
    for retry, answer, field in ((second, BAD, "category"), (third, other, "urgent")):
        assert retry.messages[:2] == first.messages
        assert retry.messages[2] == {"role": "assistant", "content": answer}
        assert field in retry.messages[3]["content"]
        assert len(retry.messages) == 4
        assert retry.response_format == first.response_format
        assert retry.request_id == first.request_id


def test_thinking_before_a_bad_answer_is_not_quoted(lm):
    bad = FakeLM.raw("<think>a cake, I think</think>" + BAD)
    with override(lm=FakeLM({"Ticket": [bad, TICKET]})) as fake:
        assert lm(output=Ticket) == TICKET
    assert fake.calls[1].messages[2]["content"] == BAD


def test_the_run_log_keeps_each_attempt_and_counts_its_tokens():
    reply, row = asked(
        LMReply(BAD, "stop", 100, 20, "n1", first_token_s=0.5),
        LMReply(GOOD, "stop", 150, 10, replica="n2", first_token_s=0.25),
        sends=2,
    )
    assert reply.value == TICKET
    assert row.first_token_s == 0.25
    assert (row.prompt_tokens, row.completion_tokens, row.attempts, row.replica) == (250, 30, 4, "n2")
    assert row.cost_usd == 1.0
    first, second = row.attempt_log
    assert (first.sent, first.prompt_tokens, first.completion_tokens, first.replica) == (2, 100, 20, "n1")
    assert (first.error, first.problems, first.finish_reason) == ("mdl.output_invalid", 1, "stop")
    assert (second.error, second.problems) == (None, 0)
    assert reply.attempts == row.attempt_log
    assert (reply.prompt_tokens, reply.completion_tokens) == (250, 30)


def test_an_attempt_that_failed_is_kept_with_its_error_and_unknown_tokens():
    error, row = asked(LMReply(BAD, "stop", 100, 20), NotAuthorized("401", status=401), sends=3)
    assert isinstance(error, NotAuthorized)
    assert row.prompt_tokens == 100
    assert [attempt.error for attempt in row.attempt_log] == ["mdl.output_invalid", "model.not_authorized"]
    assert [attempt.sent for attempt in row.attempt_log] == [3, 3]
    assert row.attempt_log[1].prompt_tokens is None
    assert row.attempt_log[1].finish_reason is None


def test_repairs_are_kept_with_the_attempt_that_was_taken():
    reply, row = asked(LMReply(f"```json\n{GOOD}\n```", "stop", 1, 1))
    assert reply.value == TICKET
    assert row.attempt_log[0].repairs == tuple(repair.kind for repair in reply.repairs)
    assert row.repairs == len(reply.repairs) > 0


@pytest.mark.parametrize(
    "error",
    [
        NotAuthorized("401", status=401),
        RequestRefused("422", status=422),
        PromptTooLong("1500 > 1400", status=400),
        ArgumentInvalid("no"),
        UnsupportedType("no"),
    ],
)
def test_an_error_that_another_attempt_would_meet_again_gets_one(lm, error):
    with override(lm=FakeLM({"Ticket": error})) as fake, pytest.raises(type(error)):
        lm(output=Ticket)
    assert len(fake.calls) == 1


def test_a_refusal_is_told_with_its_words_after_one_attempt(lm):
    with (
        override(lm=FakeLM({"Ticket": FakeLM.refusal("I will not.")})) as fake,
        pytest.raises(OutputRefused, match=r"^no/such-model: .*I will not\.") as caught,
    ):
        lm(output=Ticket)
    assert len(fake.calls) == 1
    assert (caught.value.raw, caught.value.attempts) == ("I will not.", 1)
    assert pickle.loads(pickle.dumps(caught.value)).raw == "I will not."


def test_a_chat_is_refused_alike_instead_of_being_empty(lm):
    with override(lm=FakeLM({"chat": FakeLM.refusal("I will not.")})), pytest.raises(OutputRefused):
        lm(messages=CHAT)
    with override(lm=FakeLM({"chat": FakeLM.refusal("I will not.")})), pytest.raises(OutputRefused):
        list(lm.stream(messages=CHAT))


def test_an_answer_that_a_filter_held_back_is_a_refusal():
    error, row = asked(LMReply("", "content_filter", 10, 0))
    assert isinstance(error, OutputRefused)
    assert row.attempt_log[0].error == "mdl.output_refused"
    assert row.attempt_log[0].finish_reason == "content_filter"


def test_a_refusal_at_a_retry_ends_the_call():
    error, row = asked(LMReply(BAD, "stop", 1, 1), LMReply("", refusal="No."))
    assert isinstance(error, OutputRefused)
    assert error.attempts == len(row.attempt_log) == 2


def test_a_truncated_answer_carries_what_was_readable():
    error, row = asked(LMReply('{"category": "bug", "urg', "length", 10, 5))
    assert isinstance(error, OutputTruncated)
    assert (error.partial, error.completion_tokens) == ({"category": "bug"}, 5)
    assert error.raw == '{"category": "bug", "urg'
    assert row.attempt_log == (
        Attempt(1, 10, 5, row.attempt_log[0].latency_s, "length", error="mdl.output_truncated"),
    )


def test_the_three_ways_to_have_no_value_are_distinct():
    kinds = {OutputInvalid, OutputTruncated, OutputRefused}
    outcomes = [
        asked(*[LMReply(BAD)] * 3)[0],
        asked(LMReply(GOOD, "length"))[0],
        asked(LMReply("", refusal="No."))[0],
    ]
    assert {type(outcome) for outcome in outcomes} == kinds
    assert len({kind.code for kind in kinds}) == 3


def test_a_long_answer_is_read_beside_the_loop_and_found_valid():
    prompt = mdl.prompt(output=list[str])
    reply, _ = asked(LMReply('["' + "x" * 100_000 + '"]'), prompt=prompt)
    assert reply.value == ["x" * 100_000]
