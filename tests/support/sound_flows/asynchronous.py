"""Asynchronous blocks, streams and generators."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from prefect import flow

from conduit import LMLite, block, mdl
from conduit.mdl import Partial

lm = LMLite("conduit/tiny")


@block
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    return url


@block
async def pages(url: str) -> AsyncIterator[str]:
    yield url


@block
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@block
def count(parts: list[str]) -> int:
    return len(parts)


@lm.block
def summarise(text: str) -> mdl.Stream[str]:
    """Summarise."""


@lm.block
async def translate(text: str) -> str:
    """Translate into English."""


@flow
async def gathered(first: str, second: str) -> list[str]:
    both = await asyncio.gather(fetch(first), fetch(second))
    mapped = await fetch.map([first, second])
    return [*both, *await translate.map(mapped), await translate(mapped[0])]


@flow
async def streamed(url: str) -> int:
    found = []
    async for page in pages(url):
        found.append(page)
    pending = fetch.submit(url)
    found.append(await pending)
    return count(found)


@flow
def seen(url: str) -> int:
    for event in summarise(url):
        if isinstance(event, Partial):
            print(event.value)
        else:
            print(len(event))
    whole = summarise.submit(url).result()
    return count(list(lines(whole))) + sum(map(len, lines.map([url, url])))
