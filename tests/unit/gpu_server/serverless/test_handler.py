"""Jobs in, the server's answers out: whole, as events, as what the events say, and as errors."""

import asyncio
import inspect
import json
from contextlib import asynccontextmanager

import pytest

from gpu_server.serverless.handler import Answer, handler

CHUNKS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\ndata: {"n"', b": 3}\n\ndata: [DONE]\n\n"]


class Backend:
    """Answers as it is told to; remembers what it was asked."""

    def __init__(self, *pieces, status=200, streamed=False, breaks=None):
        self.pieces, self.status, self.streamed, self.breaks = pieces, status, streamed, breaks
        self.asked = []
        self.left = False

    @asynccontextmanager
    async def ask(self, asked):
        self.asked.append(asked)

        async def pieces():
            for piece in self.pieces:
                yield piece
            if self.breaks:
                raise self.breaks

        try:
            yield Answer(self.status, self.streamed, pieces())
        finally:
            self.left = True


def run(backend, given, *, served=("m",), lost=lambda: None):
    async def collect():
        return [piece async for piece in handler(backend, served, lost)({"id": "1", "input": given})]

    return asyncio.run(collect())


def whole(value, **fields):
    return Backend(json.dumps(value).encode(), **fields)


def test_the_sdk_sees_a_generator():
    assert inspect.isasyncgenfunction(handler(Backend(), ["m"], lambda: None))


@pytest.mark.parametrize(
    ("given", "route"),
    [
        ({"openai_route": "/v1/chat/completions", "openai_input": {"messages": []}}, "/v1/chat/completions"),
        ({"openai_route": "/v1/completions", "openai_input": {"prompt": "a"}}, "/v1/completions"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "/v1/chat/completions"),
        ({"prompt": "once"}, "/v1/completions"),
        ({"input": ["a"]}, "/v1/embeddings"),
    ],
)
def test_a_job_becomes_a_request_with_the_one_model_named(given, route):
    backend = whole({"ok": True})
    assert run(backend, given) == [{"ok": True}]
    [asked] = backend.asked
    assert asked.route == route
    assert json.loads(asked.body)["model"] == "m"
    assert backend.left


def test_of_several_models_none_is_guessed():
    backend = whole({})
    run(backend, {"prompt": "a"}, served=("m", "n"))
    assert "model" not in json.loads(backend.asked[0].body)


def test_the_models_are_listed_without_a_body():
    backend = whole({"data": []})
    assert run(backend, {"openai_route": "/v1/models", "openai_input": None}) == [{"data": []}]
    assert backend.asked[0].body is None


def test_an_openai_stream_is_passed_on_in_whole_events():
    pieces = run(
        Backend(*CHUNKS, streamed=True), {"openai_route": "/v1/completions", "openai_input": {"prompt": "a"}}
    )
    assert "".join(pieces) == b"".join(CHUNKS).decode()
    assert all(piece.endswith("\n\n") for piece in pieces)


def test_a_plain_stream_is_what_its_events_say():
    assert run(Backend(*CHUNKS, streamed=True), {"prompt": "a"}) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_refusal_is_openais_error_and_its_text_is_json():
    error = {"message": "too long", "type": "invalid_request_error", "param": None, "code": "x"}
    [piece] = run(whole({"error": error}, status=400), {"prompt": "a"})
    assert piece == {"error": error}
    assert json.loads(str(piece["error"])) == error


@pytest.mark.parametrize(
    "given",
    ["text", {}, {"openai_route": "/v1/other"}, {"openai_route": "/v1/completions", "openai_input": "text"}],
)
def test_a_job_that_asks_for_nothing_is_refused_and_the_server_not_asked(given):
    backend = Backend()
    [piece] = run(backend, given)
    assert piece["error"]["type"] == "invalid_request_error"
    assert backend.asked == []


@pytest.mark.parametrize(
    "backend",
    [
        whole({"error": {"message": "m", "code": "engine_lost"}}, status=503),
        Backend(b'data: {"error": {"message": "m", "code": "engine_lost"}}\n\n', streamed=True),
        Backend(b'data: {"n": 1}\n\n', streamed=True, breaks=ConnectionError("gone")),
    ],
)
def test_a_lost_engine_is_told_to_the_worker(backend):
    losses = []
    *_, last = run(backend, {"prompt": "a"}, lost=lambda: losses.append(1))
    assert last["error"]["code"] == "engine_lost"
    assert losses == [1]


def test_other_errors_do_not_end_the_worker():
    losses = []
    run(whole({"error": {"code": "queue_full"}}, status=429), {"prompt": "a"}, lost=lambda: losses.append(1))
    assert losses == []


def test_a_stream_that_the_caller_leaves_is_closed():
    backend = Backend(*CHUNKS, streamed=True)

    async def first():
        stream = handler(backend, ["m"], lambda: None)({"id": "1", "input": {"prompt": "a"}})
        await anext(stream)
        await stream.aclose()

    asyncio.run(first())
    assert backend.left
