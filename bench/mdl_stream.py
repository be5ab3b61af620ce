"""What it costs to look at an answer while it is written: ours a piece, beside pydantic's re-reading of all so far.

An object of 18 KB comes in pieces of about 16 characters; the value is looked at after each. Both readers are
timed in turn on the same pieces, and the ratio of the medians is reported. A second figure is how the time for a
whole answer grows when it is four times as long: 4 where a piece costs the same however much came before it.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pydantic_core
from _report import report

from conduit.mdl import StreamParser

BAR, GROWTH_BAR = 2.0, 5.0
CHARACTERS, ROUNDS = 18_000, 7
WORDS = 'the parcel came late and its box was wet naïve "quotes" and a\nnew line, 数量'.split(" ")


@dataclass
class Line:
    sku: str
    note: str
    count: int
    price: float
    state: Literal["open", "sent"]
    tags: list[str]
    sizes: list[float]
    seen: bool | None


@dataclass
class Order:
    id: int
    customer: str
    lines: list[Line]


def order(characters: int) -> str:
    """The JSON of an order of about that length."""
    choose = random.Random(7)  # the same each time
    lines: list[dict[str, Any]] = []
    length = 0
    while length < characters:
        line = {
            "sku": f"A-{choose.randrange(10**6)}",
            "note": " ".join(choose.choices(WORDS, k=choose.randrange(3, 25))),
            "count": choose.randrange(100),
            "price": choose.randrange(10**5) / 100,
            "state": choose.choice(["open", "sent"]),
            "tags": choose.choices(WORDS, k=choose.randrange(4)),
            "sizes": [choose.random() for _ in range(choose.randrange(4))],
            "seen": choose.choice([True, False, None]),
        }
        lines.append(line)
        length += len(json.dumps(line, ensure_ascii=False, separators=(",", ":"))) + 1
    whole = {"id": 7, "customer": "Ada", "lines": lines}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def cut(text: str, least: int, most: int) -> list[str]:
    choose = random.Random(11)  # the same each time
    ends = itertools.accumulate(choose.randint(least, most) for _ in range(len(text)))
    cuts = [0, *itertools.takewhile(lambda end: end < len(text), ends), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def ours(pieces: list[str], type_: Any = Order, *, looks: bool = True) -> Any:
    parser = StreamParser(type_)
    value = None
    for piece in pieces:
        partial = parser.feed(piece)
        if partial is not None and looks:
            value = partial.value
    return value


def theirs(pieces: list[str]) -> Any:
    text, value = "", None
    for piece in pieces:
        text += piece
        value = pydantic_core.from_json(text, allow_partial="trailing-strings")
    return value


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def growth(text: Callable[[int], str], type_: Any, least: int, most: int, *, looks: bool) -> float:
    """Time for an answer four times as long, by the time for one of 18 KB."""
    short, long = (cut(text(count), least, most) for count in (CHARACTERS, 4 * CHARACTERS))
    times = [
        (seconds(lambda: ours(short, type_, looks=looks)), seconds(lambda: ours(long, type_, looks=looks)))
        for _ in range(ROUNDS)
    ]
    return (
        min(long for _, long in times)
        / min(short for short, _ in times)
        * len(text(CHARACTERS))
        * 4
        / len(text(4 * CHARACTERS))
    )


def main() -> None:
    text = order(CHARACTERS)
    pieces = cut(text, 12, 20)
    assert ours(pieces) == theirs(pieces) == json.loads(text)
    readers: dict[str, Callable[[list[str]], Any]] = {
        "ours, looked at": ours,
        "ours, not looked at": lambda pieces: ours(pieces, looks=False),
        "pydantic_core.from_json": theirs,
    }
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, reader in readers.items():
            times[name].append(seconds(lambda reader=reader: reader(pieces)) / len(pieces))
    median = {name: statistics.median(found) for name, found in times.items()}
    for name, found in median.items():
        print(f"{name:25} {found * 1e6:8.1f} µs a piece")

    grown = {
        f"order, pieces of {most}, {'looked at' if looks else 'not looked at'}": growth(
            order, Order, least, most, looks=looks
        )
        for least, most in ((4, 4), (4, 16), (16, 16))
        for looks in (True, False)
    }
    grown["one text, pieces of 16, looked at"] = growth(
        lambda n: json.dumps("x" * n), str, 16, 16, looks=True
    )
    worst = max(grown.values())
    # Who keeps every list of a growing list of numbers pays for the copies, by the nature of lists.
    flat = growth(lambda n: json.dumps(list(range(1000, 1000 + n // 6))), list[int], 16, 16, looks=True)
    for name, ratio in {**grown, "flat numbers, pieces of 16, looked at": flat}.items():
        print(f"time(4n) / time(n) {ratio:6.2f}  {name}")
    report(
        "mdl_stream",
        median["ours, looked at"] / median["pydantic_core.from_json"],
        BAR,
        "lower",
        ok=worst <= GROWTH_BAR,
        growth=round(worst, 2),
        growth_bar=GROWTH_BAR,
        growth_flat_numbers=round(flat, 2),
        characters=len(text),
        pieces=len(pieces),
        ours_us=round(median["ours, looked at"] * 1e6, 1),
        unseen_us=round(median["ours, not looked at"] * 1e6, 1),
        pydantic_us=round(median["pydantic_core.from_json"] * 1e6, 1),
    )


if __name__ == "__main__":
    main()
