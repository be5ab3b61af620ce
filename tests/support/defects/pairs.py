"""Each bad habit of writing alone, with each other one, and with each thing that may stand around the answer.

The singles are met in several types, some of the threes in one: what holds for one type should hold for the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from support.defects.case import Case
from support.defects.hand import Hand
from support.defects.subjects import HOST, INVOICE, QUIZ, READING, SOUP, THREAD


class Platform(BaseModel):
    name: str
    has_roof: bool


class Departure(BaseModel):
    train_number: str
    distance_m: int
    status: Literal["on time", "delayed"]
    runs_daily: bool
    delay_min: int | None
    notice: str
    via: list[str]
    platform: Platform


_DATA: dict[str, Any] = {
    "train_number": "IC 2044",
    "distance_m": 184500,
    "status": "on time",
    "runs_daily": True,
    "delay_min": None,
    "notice": 'Mind the "gap".\nNo bicycles, please.',
    "via": ["Ghent", "Bruges"],
    "platform": {"name": "4 north", "has_roof": False},
}
_HABITS: dict[str, dict[str, Any]] = {
    "single quotes": {"quotes": ("'", "'")},
    "typographic quotes": {"quotes": ("“", "”")},
    "bare keys": {"bare_keys": True},
    "camel keys": {"camel_keys": True},
    "Python's words": {"python_words": True},
    "trailing commas": {"trailing_commas": True},
    "no commas": {"no_commas": True},
    "comments": {"comments": True},
    "raw newlines": {"raw_newlines": True},
    "quoted numbers": {"quoted_numbers": True},
    "loud choices": {"loud_choices": True},
    "inner quotes": {"inner_quotes": True},
    "no end": {"unclosed": True},
}
_EXCLUSIVE = (
    {"single quotes", "typographic quotes"},
    {"single quotes", "inner quotes"},
    {"typographic quotes", "inner quotes"},
    {"trailing commas", "no commas"},
    {"trailing commas", "no end"},
)
_AROUND: dict[str, Callable[[str], str]] = {
    "a fence": lambda text: f"```json\n{text}\n```",
    "an open fence and prose": lambda text: f"Here's the departure you asked about:\n\n```json\n{text}",
    "prose with braces": lambda text: f"I used {{name}} and [via] as told.\n\n{text}",
    "thinking": lambda text: f'<think>Is {{"status": "delayed"}} right? It isn\'t.</think>\n{text}',
    "a tag": lambda text: f"<answer>\n{text}\n</answer>",
    "a wrapper": lambda text: f'{{"departure": {text}}}',
    "a list of one": lambda text: f"[{text}]",
    "another encoding": json.dumps,
}
_OTHERS: dict[str, Any] = {
    "invoice": INVOICE,
    "soup": SOUP,
    "thread": THREAD,
    "quiz": QUIZ,
    "host": HOST,
    "reading": READING,
}
_EVERY = 5
_BROKEN_BY_NO_END = {"a wrapper", "a list of one"}


def _cases() -> Iterator[Case]:
    expected = TypeAdapter(Departure).validate_python(_DATA)
    for name, habit in _HABITS.items():
        yield Case(f"{name} alone", Departure, Hand(**habit).write(_DATA), expected)
    for first, second in combinations(_HABITS, 2):
        if {first, second} not in _EXCLUSIVE:
            yield Case(
                f"{first} and {second}",
                Departure,
                Hand(**_HABITS[first], **_HABITS[second]).write(_DATA),
                expected,
            )
    for name, habit in _HABITS.items():
        for around, put in _AROUND.items():
            if not (name == "no end" and around in _BROKEN_BY_NO_END):
                yield Case(f"{name} in {around}", Departure, put(Hand(**habit).write(_DATA)), expected)
    for subject, value in _OTHERS.items():
        type_ = type(value)
        data = TypeAdapter(type_).dump_python(value, mode="json")
        for name, habit in _HABITS.items():
            if name == "no end" and subject == "thread":  # it ends in an empty list: nobody knows how empty
                continue
            yield Case(f"{name}, {subject}", type_, Hand(**habit).write(data), value)
    threes = [
        names for names in combinations(_HABITS, 3) if not any(pair <= set(names) for pair in _EXCLUSIVE)
    ]
    for names in threes[::_EVERY]:
        habits = {key: value for name in names for key, value in _HABITS[name].items()}
        yield Case(", ".join(names), Departure, Hand(**habits).write(_DATA), expected)


CASES = tuple(_cases())
