"""Thinking is kept apart from the answer, whichever channel an engine puts it in."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_jsonable_python

from conduit.errors import ArgumentInvalid, OutputTruncated
from conduit.lmlite import LMLiteResource, LMReply, LMRequest, override
from conduit.lmlite.calls.channels import ThinkingFilter, spoken
from conduit.testing import FakeLM

CHAT = [{"role": "user", "content": "hi"}]
REQUEST = LMRequest("m", tuple(CHAT))


@dataclass
class Ticket:
    urgent: bool


@pytest.fixture
def lm():
    return LMLiteResource("no/such-model")


def filtered(text, sizes):
    """What passes of a text that comes in pieces of these sizes, over and over."""
    passed = []

    async def take(piece):
        passed.append(piece)

    async def feed():
        stream, start, turn = ThinkingFilter(take), 0, 0
        while start < len(text):
            size = sizes[turn % len(sizes)]
            await stream.feed(text[start : start + size])
            start, turn = start + size, turn + 1
        await stream.end()

    asyncio.run(feed())
    return "".join(passed)


INLINE = [
    ("<think>Let me see.</think>Four.", "Let me see.", "Four."),
    ("<think>\nLet me see.\n</think>\n\nFour.", "Let me see.", "Four."),
    ("  <Thinking>Hm</Thinking> Four.", "Hm", "Four."),
    ("<think></think>Four.", "", "Four."),
    ("<think>a < b</think><think>c</think>Four.", "a < b\nc", "Four."),
    ("<think><p>a</p></think>Four.", "<p>a</p>", "Four."),
    ("[THINK]a[/THINK]Four.", "a", "Four."),
    ("\u25c1think\u25b7a\u25c1/think\u25b7Four.", "a", "Four."),
]


@pytest.mark.parametrize(("text", "thinking", "answer"), INLINE)
def test_a_chat_is_answered_without_the_block_of_thinking_before_it(lm, text, thinking, answer):
    with override(lm=FakeLM({"chat": text})):
        assert lm(messages=CHAT) == answer
        reply = lm.reply(messages=CHAT)
        assert (reply.value, reply.reasoning) == (answer, thinking)
        assert "".join(lm.stream(messages=CHAT)) == answer


@given(st.sampled_from(INLINE), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_a_stream_is_freed_of_thinking_however_it_is_cut(case, sizes):
    text, _, answer = case
    assert filtered(text, sizes) == answer


@given(
    st.text(alphabet="<>[]/thinkab \n", max_size=60).filter(lambda text: text.lstrip()[:1] not in ("<", "[")),
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
)
def test_a_stream_that_begins_with_no_block_passes_whole(text, sizes):
    assert filtered(text, sizes) == text


@pytest.mark.parametrize(
    "text",
    [
        "<b>Four.</b>",
        "< 4",
        "<",
        "[4]",
        "[4](http://four) of <i>4</i>",
        "The tag <think> opens a block and </think> closes it.",
        "Write </think> to close a block.",
        "1 < 2",
        "<p>The tag <think> opens a block.</p>",
        "<html>\n<p>Four.\n</p>\n</html>",
        " ",
        "",
    ],
)
def test_a_text_that_only_speaks_of_tags_stays_whole(lm, text):
    with override(lm=FakeLM({"chat": text})):
        assert lm(messages=CHAT) == text
        assert "".join(lm.stream(messages=CHAT)) == text


def test_a_block_that_the_prompt_opened_is_told_by_its_closing_line(lm):
    for thinking in ("Let me see.", "See [1] and <b>2</b>."):
        with override(lm=FakeLM({"chat": f"{thinking}\n</think>\n\nFour."})):
            reply = lm.reply(messages=CHAT)
        assert (reply.value, reply.reasoning) == ("Four.", thinking)


def test_a_channel_of_its_own_is_kept_apart(lm):
    with override(lm=FakeLM({"chat": FakeLM.thinking("Let me see.", "Four.")})):
        assert lm(messages=CHAT) == "Four."
        assert lm.reply(messages=CHAT).reasoning == "Let me see."
        assert asyncio.run(lm.areply(messages=CHAT)).reasoning == "Let me see."
        assert list(lm.stream(messages=CHAT)) == ["Four."]


def test_an_answer_in_the_reasoning_channel_is_taken_from_there(lm):
    with override(lm=FakeLM({"chat": FakeLM.thinking("Four.", "")})):
        reply = lm.reply(messages=CHAT)
        assert (reply.value, reply.reasoning) == ("Four.", "")
        assert "".join(lm.stream(messages=CHAT)) == "Four."


def test_json_in_the_reasoning_channel_is_taken_from_there_as_a_repair(lm):
    misplaced = FakeLM.thinking('{"urgent": true}', FakeLM.raw(""))
    with override(lm=FakeLM({"Ticket": misplaced})) as fake:
        reply = lm.reply(output=Ticket)
    assert (reply.value, reply.reasoning) == (Ticket(urgent=True), "")
    assert [repair.kind for repair in reply.repairs] == ["reasoning-channel"]
    assert reply.attempts[0].repairs == ("reasoning-channel",)
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        FakeLM.thinking("It burns.", Ticket(urgent=True)),
        FakeLM.raw('<think>It burns.</think>{"urgent": true}'),
        FakeLM.raw('It burns.\n</think>\n{"urgent": true}'),
    ],
)
def test_a_typed_answer_is_read_without_its_thinking(lm, answer):
    with override(lm=FakeLM({"Ticket": answer})):
        reply = lm.reply(output=Ticket)
    assert (reply.value, reply.reasoning) == (Ticket(urgent=True), "It burns.")


def test_thinking_that_used_up_the_tokens_is_no_empty_answer():
    for reply in (
        LMReply("", "length", completion_tokens=7, reasoning="Let me"),
        LMReply("<think>Let me", "length", completion_tokens=7),
    ):
        with pytest.raises(OutputTruncated, match="7 tokens") as caught:
            spoken(REQUEST, reply)
        assert "max_tokens" in caught.value.hint


def test_thinking_that_was_cut_is_not_taken_for_a_typed_answer(lm):
    cut = FakeLM.thinking("Is it urgent? It bur", FakeLM.raw("", finish_reason="length"))
    with override(lm=FakeLM({"Ticket": cut})), pytest.raises(OutputTruncated) as caught:
        lm(output=Ticket)
    assert caught.value.partial is None


@dataclass
class Reasoned:
    reasoning: int


ASKED_FOR = [(Ticket, Ticket(urgent=True)), (list[str], ["a", "b"]), (Reasoned, Reasoned(3)), (int, 7)]


@pytest.mark.parametrize(("type_", "value"), ASKED_FOR)
def test_a_schema_may_ask_for_reasoning_first(lm, type_, value):
    with override(lm=FakeLM(lambda _: FakeLM.thinking("It burns.", value))) as fake:
        reply = lm.reply(output=type_, reasoning=True)
        *partials, last = lm.stream(output=type_, reasoning=True)
    assert (reply.value, reply.reasoning) == (value, "It burns.")
    assert last == value
    properties = fake.calls[0].response_format["json_schema"]["schema"]["properties"]
    assert next(iter(properties)) == "reasoning"
    assert "reasoning: str" in fake.calls[0].messages[0]["content"]
    # The reasoning itself is never shown for a part of the value.
    assert partials[-1].value == to_jsonable_python(value)
    assert not [partial for partial in partials if "burns" in str(partial.value)]


@pytest.mark.parametrize("type_", [type_ for type_, _ in ASKED_FOR])
def test_a_fake_answers_such_a_schema_by_itself(lm, type_):
    with override(lm=FakeLM()):
        assert lm(output=type_, reasoning=True) == lm(output=type_)


def test_a_chat_has_no_field_for_reasoning(lm):
    with override(lm=FakeLM()), pytest.raises(ArgumentInvalid, match="reasoning"):
        lm(messages=CHAT, reasoning=True)
