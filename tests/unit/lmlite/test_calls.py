import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import pytest

from conduit import mdl
from conduit.errors import (
    ArgumentInvalid,
    ConduitError,
    ModelNotFound,
    NoReplica,
    OutputInvalid,
    OutputTruncated,
    PromptTooLong,
    RequestTimeout,
)
from conduit.lmlite import LMLiteResource, ModelConfig, override
from conduit.lmlite.portal import portal
from conduit.testing import FakeLM

CHAT = [{"role": "user", "content": "hi"}]


@dataclass
class Ticket:
    category: Literal["billing", "bug"]
    urgent: bool


async def turns():
    """Gives everything else on the loop many turns."""
    for _ in range(2_000):
        await asyncio.sleep(0)


async def collected(stream):
    return [event async for event in stream]


@pytest.fixture
def lm():
    return LMLiteResource("no/such-model")


def test_messages_answer_with_text(lm):
    with override(lm=FakeLM({"chat": "hello"})) as fake:
        assert lm(messages=CHAT, system_message="be kind") == "hello"
    assert fake.calls[0].messages == ({"role": "system", "content": "be kind"}, *CHAT)
    assert fake.calls[0].schema is None


def test_output_answers_with_a_value(lm):
    with override(lm=FakeLM({"Ticket": Ticket("bug", urgent=True)})) as fake:
        assert lm(input=Ticket("billing", urgent=False), output=Ticket, guidance="Flip it.") == Ticket(
            "bug", True
        )
    [request] = fake.calls
    assert "Flip it." in request.messages[0]["content"]
    assert request.messages[1]["content"] == '{"category":"billing","urgent":false}'
    assert request.response_format["json_schema"]["strict"] is True


def test_the_users_sample_form_works(lm):
    with override(lm=FakeLM()):
        result = lm(model_id="no/such-model", messages=None, input=Ticket("bug", urgent=True), output=Ticket)
    assert result == Ticket("billing", urgent=False)


def test_an_output_may_be_any_type_and_have_no_input(lm):
    with override(lm=FakeLM(lambda _: ["a", "b"])):
        assert lm(output=list[str], guidance="Name two letters.") == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {"role": "user", "content": "hi"}}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": CHAT, "output": Ticket}, "messages"),
        ({"system_message": "x", "output": Ticket}, "system_message"),
        ({"input": Ticket("bug", urgent=True)}, "output"),
        ({"guidance": "x", "messages": CHAT}, "output"),
    ],
)
def test_arguments_that_make_no_call_are_refused_by_name(lm, arguments, named):
    with override(lm=FakeLM()) as fake, pytest.raises(ArgumentInvalid) as caught:
        lm(**arguments)
    assert caught.value.argument == named
    assert fake.calls == []


def test_an_unknown_model_is_refused_before_anything_is_asked(lm):
    with override(lm=FakeLM()) as fake, pytest.raises(ModelNotFound, match=r"no/such-model"):
        lm(model_id="other/model", messages=CHAT)
    assert fake.calls == []


def test_an_answer_that_does_not_fit_is_asked_for_again_with_its_errors(lm):
    fake = FakeLM(
        {"Ticket": [FakeLM.raw('{"category": "cake", "urgent": true}'), Ticket("bug", urgent=True)]}
    )
    with override(lm=fake):
        assert lm(output=Ticket) == Ticket("bug", urgent=True)
    first, second = fake.calls
    assert second.messages[:2] == first.messages
    assert second.messages[2] == {"role": "assistant", "content": '{"category": "cake", "urgent": true}'}
    assert "category" in second.messages[3]["content"]


def test_after_two_retries_the_invalid_answer_is_raised_with_its_text(lm):
    fake = FakeLM({"Ticket": FakeLM.raw('{"urgent": true}')})
    with override(lm=fake), pytest.raises(OutputInvalid, match="after 3 attempts") as caught:
        lm(output=Ticket)
    assert len(fake.calls) == 3
    assert (caught.value.raw, caught.value.attempts) == ('{"urgent": true}', 3)
    assert any(line.startswith("category") for line in caught.value.errors)
    assert pickle.loads(pickle.dumps(caught.value)).attempts == 3


def test_a_truncated_answer_is_never_a_value_and_not_asked_for_again(lm):
    fake = FakeLM({"Ticket": FakeLM.raw('{"category":"bug","urgent":true}', finish_reason="length")})
    with override(lm=fake), pytest.raises(OutputTruncated) as caught:
        lm(output=Ticket)
    assert len(fake.calls) == 1
    assert caught.value.raw.startswith("{")
    assert caught.value.completion_tokens == 1


def test_when_a_retry_is_too_long_the_invalid_answer_is_what_is_raised(lm):
    fake = FakeLM({"Ticket": [FakeLM.raw("{}"), PromptTooLong("1500 > 1400")]})
    with override(lm=fake), pytest.raises(OutputInvalid) as caught:
        lm(output=Ticket)
    assert caught.value.attempts == 1


def test_an_error_of_the_model_is_raised_as_it_is(lm):
    with (
        override(lm=FakeLM({"Ticket": ConduitError("out of order")})),
        pytest.raises(ConduitError, match="out of order"),
    ):
        lm(output=Ticket)


def test_a_block_is_named_in_request_and_error(lm):
    def triage(message: str) -> Ticket:
        """Classify a support message."""

    prompt = mdl.prompt(triage)
    fake = FakeLM(
        {
            "triage": [
                lambda message: Ticket("bug", urgent=message == "now"),
                FakeLM.raw("x", finish_reason="length"),
            ]
        }
    )
    with override(lm=fake):
        assert lm.answer_sync(prompt, {"message": "now"}, block="triage") == Ticket("bug", urgent=True)
        with pytest.raises(OutputTruncated, match=r"^triage: "):
            asyncio.run(lm.answer(prompt, {"message": "x"}, block="triage", max_tokens=1))
    assert [(call.block, call.sampling.max_tokens) for call in fake.calls] == [
        ("triage", None),
        ("triage", 1),
    ]


def test_sampling_reaches_the_request(lm):
    with override(lm=FakeLM()) as fake:
        lm(messages=CHAT, temperature=0.7, max_tokens=5, stop="x", seed=1, top_p=0.5)
    drawn = fake.calls[0].sampling
    assert (drawn.temperature, drawn.max_tokens, drawn.stop, drawn.seed, drawn.top_p) == (
        0.7,
        5,
        ("x",),
        1,
        0.5,
    )


def test_an_unknown_argument_is_a_type_error(lm):
    with override(lm=FakeLM()), pytest.raises(TypeError, match="temprature"):
        lm(messages=CHAT, temprature=1)


def test_a_stream_comes_in_pieces_that_make_up_the_text(lm):
    with override(lm=FakeLM({"chat": "one two  three"})):
        pieces = list(lm.stream(messages=CHAT))
        assert len(pieces) > 1
        assert "".join(pieces) == "one two  three"


def test_an_async_stream_comes_in_pieces_too(lm):
    async def read():
        return [piece async for piece in lm.astream(messages=CHAT)]

    with override(lm=FakeLM({"chat": "one two"})):
        assert asyncio.run(read()) == ["one ", "two"]


def test_an_error_of_a_stream_is_raised_to_its_reader(lm):
    with override(lm=FakeLM({"chat": NoReplica("none")})), pytest.raises(NoReplica):
        list(lm.stream(messages=CHAT))


def test_batch_keeps_the_order(lm):
    with override(lm=FakeLM(lambda request: request.messages[0]["content"])):
        calls = [{"messages": [{"role": "user", "content": str(i)}]} for i in range(50)]
        assert lm.batch(calls) == [str(i) for i in range(50)]
        assert asyncio.run(lm.abatch(calls)) == [str(i) for i in range(50)]
        assert lm.batch([]) == []


def test_batch_runs_no_more_at_a_time_than_twice_what_the_replicas_take():
    lm = LMLiteResource(ModelConfig("a/b", max_model_concurrency=3), replicas=2)
    running, most = 0, 0

    async def answer(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "ok"

    with override(lm=FakeLM(answer)):
        lm.batch([{"messages": CHAT}] * 100)
    assert lm.parallelism == 6
    assert most == 12


def test_one_bad_call_can_be_collected_from_a_batch(lm):
    def answer(request):
        return NoReplica("bad") if request.messages[0]["content"] == "1" else "ok"

    calls = [{"messages": [{"role": "user", "content": str(i)}]} for i in range(3)]
    with override(lm=FakeLM(answer)):
        first, second, third = lm.batch(calls, errors="collect")
        assert (first, third) == ("ok", "ok")
        assert isinstance(second, NoReplica)
        with pytest.raises(NoReplica):
            lm.batch(calls)
        with pytest.raises(ArgumentInvalid):
            lm.batch(calls, errors="ignore")


@pytest.mark.parametrize(
    "bad", [{"nonsense": 1}, {"messages": "hi"}, {"messages": CHAT, "model_id": "other/one"}]
)
def test_no_bad_row_ends_a_batch_that_collects(lm, bad):
    with override(lm=FakeLM()):
        first, second, third = lm.batch([{"messages": CHAT}, bad, {"messages": CHAT}], errors="collect")
    assert (first, third) == ("ok", "ok")
    assert isinstance(second, Exception)


@pytest.mark.parametrize("form", ["batch_as_completed", "abatch_as_completed"])
def test_results_of_a_batch_can_be_had_as_they_come(lm, form):
    def answer(request):
        content = request.messages[0]["content"]
        return NoReplica("bad") if content == "7" else content

    calls = [{"messages": [{"role": "user", "content": str(i)}]} for i in range(50)]
    with override(lm=FakeLM(answer)):
        stream = getattr(lm, form)(calls, errors="collect")
        results = dict(stream) if form == "batch_as_completed" else dict(asyncio.run(collected(stream)))
        assert isinstance(results.pop(7), NoReplica)
        assert results == {i: str(i) for i in range(50) if i != 7}
        with pytest.raises(NoReplica):
            list(lm.batch_as_completed(calls))
        with pytest.raises(ArgumentInvalid):
            lm.batch_as_completed(calls, errors="ignore")
        assert list(lm.batch_as_completed([])) == []


def test_a_quick_result_does_not_wait_for_a_slow_one(lm):
    quick_is_here = threading.Event()

    async def answer(request):
        if request.messages[0]["content"] == "slow":
            assert await asyncio.to_thread(quick_is_here.wait, 10)
        return request.messages[0]["content"]

    calls = [{"messages": [{"role": "user", "content": text}]} for text in ("slow", "quick")]
    with override(lm=FakeLM(answer)):
        stream = lm.batch_as_completed(calls)
        assert next(stream) == (1, "quick")
        quick_is_here.set()
        assert list(stream) == [(0, "slow")]


def test_a_batch_that_is_read_slowly_or_left_asks_for_little_more(lm):
    with override(lm=FakeLM()) as fake:
        stream = lm.batch_as_completed([{"messages": CHAT}] * 20_000)
        next(stream)
        portal().call(turns)
        assert len(fake.calls) < 2_000
        stream.close()
        portal().call(turns)
        asked = len(fake.calls)
        portal().call(turns)
        assert len(fake.calls) == asked


def test_a_batch_is_batch_work_and_a_call_is_not(lm):
    with override(lm=FakeLM()) as fake:
        lm(messages=CHAT)
        lm.batch([{"messages": CHAT}])
        asyncio.run(lm.abatch([{"messages": CHAT}]))
        list(lm.batch_as_completed([{"messages": CHAT}]))
        lm(messages=CHAT)
    assert [request.flex for request in fake.calls] == [False, True, True, True, False]


def test_a_call_of_a_model_for_embeddings_is_refused():
    lm = LMLiteResource(ModelConfig("a/b", task="embed"))
    with override(lm=FakeLM()), pytest.raises(ArgumentInvalid, match="embeddings"):
        lm(messages=CHAT)


def test_a_deadline_holds_for_all_attempts_together(lm):
    async def slow(_):
        await asyncio.sleep(0.15)
        return FakeLM.raw("{}")

    with override(lm=FakeLM(slow)) as fake, pytest.raises(RequestTimeout):
        lm(output=Ticket, timeout_s=0.2)
    assert len(fake.calls) == 2


def test_many_threads_may_call_at_once(lm):
    barrier = threading.Barrier(20)

    def call(i):
        barrier.wait(10)
        return lm(messages=[{"role": "user", "content": str(i)}])

    with (
        override(lm=FakeLM(lambda request: request.messages[0]["content"])),
        ThreadPoolExecutor(20) as threads,
    ):
        assert list(threads.map(call, range(20))) == [str(i) for i in range(20)]


def test_overrides_nest_and_end(lm):
    with override(lm=FakeLM({"chat": "outer"})):
        with override(lm=FakeLM({"chat": "inner"})):
            assert lm(messages=CHAT) == "inner"
        assert lm(messages=CHAT) == "outer"


def test_an_override_ends_with_an_error_too(lm):
    outer = FakeLM({"chat": "outer"})
    with override(lm=outer):
        with pytest.raises(ZeroDivisionError), override(lm=FakeLM({"chat": "inner"})):
            1 / 0  # noqa: B018
        assert lm(messages=CHAT) == "outer"


def test_only_something_that_responds_can_override():
    with pytest.raises(ArgumentInvalid, match="respond"), override(lm=object()):
        pass


def test_under_an_override_nothing_is_started_or_opened(lm, own_data_folder):
    with override(lm=FakeLM()):
        with lm:
            assert lm.ready
            lm(messages=CHAT)
        lm.up()
        lm.up(wait=False)
        assert lm.gc() == []
        lm.stop()
        lm.delete()
        with pytest.raises(NoReplica):
            _ = lm.endpoints
    assert list(own_data_folder.iterdir()) == []


def test_a_synchronous_call_on_conduits_own_loop_is_refused_instead_of_hanging(lm):
    with (
        override(lm=FakeLM({"Ticket": lambda: lm(messages=CHAT)})),
        pytest.raises(ConduitError, match="acall"),
    ):
        lm(output=Ticket)


def test_a_pickled_resource_keeps_its_configuration(lm):
    copy = pickle.loads(pickle.dumps(LMLiteResource("a/b", replicas=3, name="x")))
    assert (copy.config.replicas, copy.model_ids, copy.config.name) == (3, ("a/b",), "x")
    with override(lm=FakeLM({"chat": "hello"})):
        assert copy(messages=CHAT) == "hello"


def test_a_fake_without_an_answer_says_which_it_has(lm):
    with override(lm=FakeLM({"other": "x"})), pytest.raises(ConduitError, match=r"'Ticket'.*'other'"):
        lm(output=Ticket)


def test_a_fakes_list_is_used_up_one_a_request(lm):
    with override(lm=FakeLM({"chat": ["a", "b"]})):
        assert [lm(messages=CHAT), lm(messages=CHAT)] == ["a", "b"]
        with pytest.raises(ConduitError, match="used up"):
            lm(messages=CHAT)
