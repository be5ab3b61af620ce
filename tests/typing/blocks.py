# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# pyright: reportUnusedFunction=false, reportUnusedClass=false
"""What mypy --strict and pyright infer of blocks. This file is only type-checked, never run.

An expected error carries an ignore that both checkers heed, and both report one that nothing needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import Any, assert_type

from conduit import Ledger, block
from conduit.dataflow import (
    AsyncGeneratorBlock,
    BlockFuture,
    CoroutineBlock,
    FunctionBlock,
    GeneratorBlock,
    ItemFailure,
    StoredResults,
)


@dataclass
class Ticket:
    text: str


@block
def parse(text: str, limit: int = 10) -> Ticket:
    return Ticket(text[:limit])


@block(retries=2, retry_delay_s=[1, 2.5], timeout_s=30, tags=["nightly"], name="careful", cache=True)
def careful(text: str) -> Ticket:
    return Ticket(text)


@block
def answers(ticket: Ticket) -> str:
    return ticket.text


@block
async def fetch(url: str) -> bytes:
    return url.encode()


@block(retries=1)
async def careful_fetch(url: str) -> bytes:
    return url.encode()


@block
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@block
def numbers(count: int) -> Generator[int, None, str]:
    yield from range(count)
    return "end"


@block
async def ticks(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@block
async def beats(count: int) -> AsyncGenerator[float, None]:
    for number in range(count):
        yield float(number)


@block(tags=["stream"])
def words(text: str) -> Iterator[str]:
    yield from text.split()


class Desk:
    @block
    def take(self, text: str, urgent: bool = False) -> Ticket:
        return Ticket(text)

    @block
    async def answer(self, ticket: Ticket) -> str:
        return ticket.text

    @block
    def pages(self, ticket: Ticket) -> Iterator[str]:
        yield ticket.text


def calls() -> None:
    assert_type(parse("a"), Ticket)
    assert_type(parse("a", limit=3), Ticket)
    assert_type(careful("a"), Ticket)
    assert_type(careful.uncached("a"), Ticket)
    assert_type(fetch("u"), Coroutine[Any, Any, bytes]).close()
    assert_type(careful_fetch("u"), Coroutine[Any, Any, bytes]).close()
    assert_type(lines("a"), Generator[str, None, Any])
    assert_type(words("a"), Generator[str, None, Any])
    assert_type(numbers(3), Generator[int, None, Any])
    assert_type(ticks(3), AsyncGenerator[int, None])
    assert_type(beats(3), AsyncGenerator[float, None])

    parse(1)  # type: ignore[arg-type]
    parse()  # type: ignore[call-arg]
    parse("a", size=3)  # type: ignore[call-arg]
    lines(1)  # type: ignore[arg-type]
    ticks("a")  # type: ignore[arg-type]


async def awaited() -> None:
    assert_type(await fetch("u"), bytes)
    assert_type(await fetch.map(["u"]), list[bytes])
    assert_type(await fetch.map(["u"], errors="collect"), list[bytes | ItemFailure])
    assert_type(await ticks.map([1, 2]), list[list[int]])
    assert_type(await fetch.map_stored(["u"], "rows"), StoredResults[bytes])
    assert_type(await fetch.map_stored(["u"], "rows", errors="collect"), StoredResults[bytes | ItemFailure])
    assert_type(await ticks.map_stored([1, 2], "rows"), StoredResults[list[int]])
    assert_type(await fetch.submit("u"), bytes)
    assert_type([tick async for tick in ticks(2)], list[int])
    await fetch(2)  # type: ignore[arg-type]


def submitted() -> None:
    assert_type(parse.submit("a"), BlockFuture[Ticket])
    assert_type(parse.submit("a", limit=2).result(timeout_s=3), Ticket)
    assert_type(fetch.submit("u").result(), bytes)
    assert_type(lines.submit("a").result(), list[str])
    assert_type(ticks.submit(2).result(), list[int])
    assert_type(parse.submit("a").done, bool)
    parse.submit(1)  # type: ignore[arg-type]


def stored() -> None:
    assert_type(parse.map_stored(["a"], "rows"), StoredResults[Ticket])
    assert_type(
        parse.map_stored(iter(["a"]), Ledger("rows"), errors="finish", limit=3), StoredResults[Ticket]
    )
    assert_type(
        parse.map_stored(["a"], Ledger("rows", retry_failed=True), errors="collect"),
        StoredResults[Ticket | ItemFailure],
    )
    assert_type(lines.map_stored(["a"], "rows"), StoredResults[list[str]])
    tickets = parse.map_stored(["a"], "rows")
    assert_type(tickets[0], Ticket)
    assert_type(tickets[1:], list[Ticket])
    assert_type(list(tickets), list[Ticket])
    assert_type(len(tickets), int)
    assert_type(tickets.counts.reused, int)
    for failure in tickets.failures():
        assert_type(failure, ItemFailure)
    assert_type(answers.map(tickets), list[str])
    parse.map_stored(["a"])  # type: ignore[call-overload]
    parse.map_stored(["a"], 3)  # type: ignore[call-overload]


def mapped() -> None:
    assert_type(parse.map(["a"], ledger="rows", errors="finish", batch_tokens=100), list[Ticket])
    assert_type(parse.map(["a"], ledger=Ledger("rows"), errors="collect"), list[Ticket | ItemFailure])
    assert_type(parse.map(["a", "b"]), list[Ticket])
    assert_type(parse.map(["a"], batch=8, concurrency=4, errors="raise", limit=3), list[Ticket])
    assert_type(parse.map(["a"], errors="collect"), list[Ticket | ItemFailure])
    assert_type(lines.map(["a"]), list[list[str]])
    for result in parse.map(iter(["a"]), errors="collect"):
        if isinstance(result, ItemFailure):
            assert_type(result.index, int)
            assert_type(result.error, Exception)
        else:
            assert_type(result, Ticket)
    # mypy does not bind a named parameter's type to the items; pyright does.
    parse.map([1])  # pyright: ignore[reportArgumentType]
    parse.map(["a"], batch="8")  # type: ignore[call-overload]
    parse.map(["a"], errors="skip")  # type: ignore[call-overload]


def methods(desk: Desk) -> None:
    assert_type(desk.take("a"), Ticket)
    assert_type(desk.take("a", urgent=True), Ticket)
    assert_type(desk.take.map(["a"], urgent=True), list[Ticket])
    assert_type(desk.take.submit("a").result(), Ticket)
    assert_type(desk.answer(Ticket("a")), Coroutine[Any, Any, str]).close()
    assert_type(desk.pages(Ticket("a")), Generator[str, None, Any])
    assert_type(Desk.take(desk, "a"), Ticket)
    desk.take(3)  # type: ignore[arg-type]
    desk.take(desk, "a")  # type: ignore[arg-type]


def options() -> None:
    assert_type(parse.with_options(retries=3, retry_delay_s=0.5, timeout_s=None, tags=["x"])("a"), Ticket)
    assert_type(fetch.with_options(name="get").submit("u").result(), bytes)
    assert_type(Desk().take.with_options(retries=1)("a"), Ticket)
    parse.with_options(retry=3)  # type: ignore[call-arg]
    parse.with_options(retries="3")  # type: ignore[arg-type]
    block(retry=3)  # type: ignore[call-overload]


def raw() -> None:
    as_function: Callable[[str, int], Ticket] = parse.raw
    assert_type(as_function("a", 1), Ticket)
    assert_type(parse.raw("a"), Ticket)
    assert_type(fetch.raw("u"), Coroutine[Any, Any, bytes]).close()
    parse.raw(1)  # type: ignore[arg-type]


def classes() -> None:
    a: FunctionBlock[[str, int], Ticket] = parse
    b: CoroutineBlock[[str], bytes] = fetch
    c: GeneratorBlock[[str], str] = lines
    d: AsyncGeneratorBlock[[int], int] = ticks
    e: FunctionBlock[[str], object] = careful
    f: FunctionBlock[[int], Ticket] = careful  # type: ignore[assignment]
    del a, b, c, d, e, f
