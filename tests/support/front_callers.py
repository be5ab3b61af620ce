"""Those who call a front: over httpx, or with bytes of their own; and what the simplest replicas say."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx

from support.raw_replicas import HELLO, TOKEN, whole

OK = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}


def scene(play):
    asyncio.run(asyncio.wait_for(play(), 40))


async def says_ok(request):
    yield whole(OK, x_batch_id="b")


def saying(name):
    async def script(request):
        yield whole({"from": name})

    return script


@asynccontextmanager
async def client(front):
    async with httpx.AsyncClient(base_url=front.url, headers=front.headers, timeout=20) as http:
        yield http


async def soon(condition, within_s=10.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)


async def take(http, seen):
    async with http.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True}) as answer:
        async for piece in answer.aiter_raw():
            seen.append(piece)


def code_of(response):
    return response.json()["error"]["code"]


def page(status):
    """What a proxy says in the place of a server that it does not reach."""

    async def script(request):
        yield f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".encode()

    return script


def raw_request(body, *, headers=""):
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n{headers}"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def answered(front, data, *, then=b""):
    """What comes back for those bytes, until the front ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    try:
        writer.write(data)
        if then:
            await asyncio.sleep(0.1)
            writer.write(then)
        return await asyncio.wait_for(reader.read(), 15)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def chunks(data, count):
    for _ in range(count):
        yield data


async def talk(front, *parts, answers=1):
    """The first answers to what is sent, one part after the other; then the connection is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        return [await asyncio.wait_for(answer_from(reader), 10) for _ in range(answers)]
    finally:
        writer.close()


async def answer_from(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if "transfer-encoding: chunked" in head:
        return head, await reader.readuntil(b"0\r\n\r\n")
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return head, await reader.readexactly(int(length or 0))
