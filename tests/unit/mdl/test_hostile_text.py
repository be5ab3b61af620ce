"""Text that is meant to harm, or looks so: it costs time and memory in proportion, and ends in a typed error.

Times are compared with each other only: four times the text takes about four times as long. A reading that goes
back over what it has read would take sixteen times as long.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from conduit.errors import AnswerError
from conduit.mdl import StreamParser, parse, parse_schema

SMALL, LARGE, HUGE = 40_000, 160_000, 1_000_000
GROWTH = 7.0
NOTICED_S = 0.1  # below this, times say more about the machine than about the text
MEMORY = 60


@dataclass
class Node:
    name: str
    size: int
    tags: list[str] = field(default_factory=list)
    inner: Node | None = None


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}, "any": {}},
    "required": ["name"],
}
TEXTS: dict[str, Callable[[int], str]] = {
    "opening brackets": lambda n: "[" * n,
    "opening braces": lambda n: "{" * n,
    "closing braces": lambda n: "}" * n,
    "brackets in pairs": lambda n: "[]" * (n // 2),
    "braces in pairs": lambda n: "{}" * (n // 2),
    "both brackets": lambda n: "[{" * (n // 2),
    "deep nesting, closed": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "deep members": lambda n: '{"a":' * (n // 5),
    "deep members of the type": lambda n: '{"name":"x","size":1,"inner":' * (n // 29),
    "double quotes": lambda n: '"' * n,
    "single quotes": lambda n: "'" * n,
    "mixed quotes": lambda n: "\"'`" * (n // 3),
    "quotes in braces": lambda n: "{\"'" * (n // 3),
    "backslashes": lambda n: "\\" * n,
    "backslashes in a string": lambda n: '{"name": "' + "\\" * n,
    "escapes cut short": lambda n: '{"name": "' + "\\u12" * (n // 4),
    "half surrogates": lambda n: '{"name": "' + "\\ud83d" * (n // 6),
    "a string without end": lambda n: '{"name": "' + "x" * n,
    "strings without commas": lambda n: "[" + '"a" ' * (n // 4),
    "keys without values": lambda n: "{" + '"a",' * (n // 4),
    "commas": lambda n: "[" + "," * n,
    "colons": lambda n: "{" + ":" * n,
    "thinking that opens": lambda n: "<think>" * (n // 7),
    "thinking that closes": lambda n: "</think>" * (n // 8),
    "thinking in pairs": lambda n: "<think></think>" * (n // 15),
    "fences": lambda n: "```" * (n // 3),
    "fences with a name": lambda n: "```json\n" * (n // 8),
    "comments that open": lambda n: "{" + "/*" * (n // 2),
    "line comments": lambda n: "{" + "//\n" * (n // 3),
    "digits": lambda n: "9" * n,
    "digits in a list": lambda n: "[" + "9" * n + "]",
    "minus signs": lambda n: "[" + "-" * n,
    "exponents": lambda n: '{"size": 1' + "e9" * (n // 2) + "}",
    "white space": lambda n: " " * n,
    "line breaks in a record": lambda n: '{"name":' + "\n" * n,
    "words": lambda n: "word " * (n // 5),
    "names with colons": lambda n: "name: " * (n // 6),
    "members without braces": lambda n: '"name": "x",\n' * (n // 13),
    "small values": lambda n: '{"name": "x"} ' * (n // 14),
    "small defects": lambda n: "{'name': 'x',} " * (n // 15),
    "encoded again": lambda n: '{"name": "' + '{\\"name\\": ' * (n // 11),
    "nul characters": lambda n: "\0" * n,
    "lone surrogates": lambda n: '{"name": "' + "\ud83d" * n + '"}',
    "many items": lambda n: '{"name": "x", "size": 1, "tags": [' + '"t",' * (n // 4),
    "many unknown members": lambda n: "{" + "".join(f'"k{i}":{i},' for i in range(n // 12)),
}  # fmt: skip


def as_type(text: str) -> None:
    parse(text, Node)


def as_text_or_list(text: str) -> None:
    parse(text, list[str] | int | str)


def as_schema(text: str) -> None:
    parse_schema(text, SCHEMA)


def in_pieces(text: str) -> None:
    parser = StreamParser(Node)
    for start in range(0, len(text), 16):
        if (partial := parser.feed(text[start : start + 16])) is not None and start % 1024 == 0:
            _ = partial.value
    assert parser.text == text


def outcome(read: Callable[[str], None], text: str) -> str | None:
    """The code of the typed error, or nothing for a value; any other error comes through."""
    try:
        read(text)
    except AnswerError as error:
        return error.code
    return None


def cpu_seconds(read: Callable[[str], None], text: str) -> float:
    gc.disable()  # what it takes depends on all else that the process holds
    try:
        started = time.thread_time()
        outcome(read, text)
        return time.thread_time() - started
    finally:
        gc.enable()


@pytest.mark.parametrize("read", [as_type, in_pieces])
@pytest.mark.parametrize("name", TEXTS)
def test_time_grows_with_the_text_and_no_faster(name: str, read: Callable[[str], None]) -> None:
    small, large = TEXTS[name](SMALL), TEXTS[name](LARGE)
    for _ in range(3):
        allowed = GROWTH * max(cpu_seconds(read, small), NOTICED_S)
        taken = cpu_seconds(read, large)
        if taken <= allowed:
            return
    pytest.fail(f"{taken:.2f} s for {LARGE:,} characters, over {allowed:.2f} s")


@pytest.mark.parametrize("read", [as_type, in_pieces])
@pytest.mark.parametrize("name", TEXTS)
def test_memory_is_bounded_by_the_text(name: str, read: Callable[[str], None]) -> None:
    text = TEXTS[name](SMALL)
    outcome(read, "{}")  # what is kept for a type is no cost of a text
    tracemalloc.start()
    try:
        outcome(read, text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= MEMORY * len(text)


@pytest.mark.parametrize("name", TEXTS)
def test_only_typed_errors_come_out_for_other_types_too(name: str) -> None:
    for read in (as_text_or_list, as_schema):
        outcome(read, TEXTS[name](SMALL))


@pytest.mark.parametrize(
    "name",
    ["opening brackets", "closing braces", "double quotes", "backslashes", "deep members", "fences"],
)
def test_a_million_characters_end_in_a_typed_error(name: str) -> None:
    text = TEXTS[name](HUGE)
    for read in (as_type, as_schema):
        assert outcome(read, text) == "mdl.output_invalid"
    in_pieces(text)


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\ud83d", "[" * 500, "<think>", "```", '"', "\\", "{]}", "\ufeff{}"]
)
def test_small_oddities_end_in_a_typed_error(text: str) -> None:
    for read in (as_type, as_schema):
        assert outcome(read, text) == "mdl.output_invalid"
    parser: StreamParser[Any] = StreamParser(Node)
    parser.feed(text)
    assert parser.partial is None
