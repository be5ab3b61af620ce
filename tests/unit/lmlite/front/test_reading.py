import asyncio
import json

import pytest

from conduit.lmlite.front.door import Limits
from conduit.lmlite.front.reading import Sorter, read_body, stream_body
from conduit.lmlite.front.refusals import Refused
from conduit.lmlite.front.request import HIGH_WATER_BYTES, CallerLeft, Request


def coming(*pieces, declared=None, left=False, read_on=lambda: None):
    """A request whose body comes piece by piece while it is read."""
    request = Request(read_on)
    if declared is not None:
        request.headers[b"content-length"] = b"%d" % declared

    def feed(rest):
        if rest:
            request.feed(rest[0])
            asyncio.get_running_loop().call_soon(feed, rest[1:])
        else:
            request.leave() if left else request.end()

    asyncio.get_running_loop().call_soon(feed, pieces)
    return request


def body_of(*pieces, limit=10, **fields):
    async def run():
        return await read_body(coming(*pieces, **fields), Limits(body_bytes=limit))

    return asyncio.run(run())


def test_a_body_is_put_together():
    assert body_of(b"ab", b"cd") == b"abcd"
    assert body_of() == b""


@pytest.mark.parametrize(("pieces", "declared"), [([b"x" * 11], None), ([b"x" * 6] * 2, None), ([b"x"], 11)])
def test_a_body_beyond_the_limit_is_refused(pieces, declared):
    with pytest.raises(Refused) as caught:
        body_of(*pieces, declared=declared)
    assert (caught.value.refusal.status, caught.value.refusal.code) == (413, "body_too_large")


def test_a_body_at_the_limit_is_taken():
    assert body_of(b"x" * 10, declared=10) == b"x" * 10


def test_a_caller_that_leaves_within_its_body_is_noticed():
    with pytest.raises(CallerLeft):
        body_of(b"a", left=True)

    async def run():
        return [piece async for piece in stream_body(coming(b"a", left=True))]

    with pytest.raises(CallerLeft):
        asyncio.run(run())


def test_a_body_that_is_held_is_read_on_once_it_is_taken():
    async def run():
        room = []
        request = Request(lambda: room.append(True))
        request.feed(b"x" * HIGH_WATER_BYTES)
        assert not request.full
        request.feed(b"x")
        assert request.full
        assert not room
        assert len(await request.piece()) == HIGH_WATER_BYTES + 1
        assert not request.full
        assert room == [True]

    asyncio.run(run())


def chat(*contents, **fields):
    messages = [{"role": "system" if not n else "user", "content": c} for n, c in enumerate(contents)]
    return json.dumps({"model": "m", "messages": messages, **fields}).encode()


def test_with_one_model_and_no_look_at_prompts_the_body_is_not_read():
    what = Sorter(("m",), looks=False).routable(b"{not json" * 100)
    assert (what.model_id, what.prefix) == ("m", b"")
    assert what.tokens > 225


def test_the_model_is_the_one_that_the_body_names_at_its_top():
    sorter = Sorter(("m", "n"), looks=False)
    assert sorter.routable(b'{"metadata": {"model": "x"}, "model": "n"}').model_id == "n"
    assert sorter.routable(chat('"model": "n"')).model_id == "m"
    with pytest.raises(Refused, match=r"no model 'gpt-9' here; it has: m, n") as caught:
        sorter.routable(b'{"model": "gpt-9"}')
    assert caught.value.refusal.status == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"model": 7}', b'{"model": null, "messages": 3}', b"\xff"]
)
def test_a_body_that_says_nothing_goes_where_it_is_refused(body):
    assert Sorter(("m", "n"), looks=True).routable(body).model_id == "m"


def test_the_beginning_that_requests_share_is_the_system_message():
    sorter = Sorter(("m",), looks=True)
    assert sorter.routable(chat("be kind", "hi")).prefix == b"be kind"
    assert sorter.routable(chat("hi")).prefix == b""
    assert sorter.routable(chat([{"type": "text"}], "hi")).prefix == b""


def test_the_weight_grows_with_the_prompt_and_with_what_is_asked_for():
    sorter = Sorter(("m",), looks=True)
    light, long, much = (
        chat("a", "b", max_tokens=1),
        chat("a", "b" * 4000, max_tokens=1),
        chat("a", "b", max_tokens=999),
    )
    assert sorter.routable(long).tokens > sorter.routable(light).tokens + 900
    assert sorter.routable(much).tokens == sorter.routable(light).tokens + 998 + (
        len(much) // 4 - len(light) // 4
    )
    assert sorter.routable(chat("a", "b", max_tokens=True)).tokens < 300
    assert sorter.routable(chat("a", "b", max_tokens=10**12)).tokens < 300
