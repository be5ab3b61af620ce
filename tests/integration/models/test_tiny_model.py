"""The shipped model, on real replicas: the documented way of use, and an end to every string and list."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Optional

import psutil
import pytest

from conduit import ComputeProvider, LMLite, ModelConfig, settings, store
from conduit.conduit_types import GPUS
from conduit.lmlite import down
from conduit.runtime import LMLiteBlock

TINY = "conduit/tiny"


@dataclass
class Greeting:
    greeting: str
    suggestions: list[str]


@dataclass
class Person:
    name: str
    mood: Optional[str] = None


@pytest.fixture(scope="module")
def lm() -> Iterator[LMLite]:
    with LMLite(ModelConfig(TINY, max_model_len=1024, max_model_concurrency=16), idle_timeout=120) as running:
        yield running
        running.delete()


def test_the_documented_program_gives_a_hundred_typed_results_and_leaves_nothing() -> None:
    block = LMLiteBlock(
        models=[
            ModelConfig(
                TINY, max_model_len=1400, max_model_concurrency=50, model_batch_execute_timeout_ms=1000
            )
        ],
        compute_provider=ComputeProvider.LOCAL,
        gpu=GPUS.NVIDIA_L4,
        replicas=2,
    )
    try:
        LMLiteBlock.gc()
        deadline = time.monotonic() + 50
        while not block.ready:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(block.endpoints) == 2
        person = Person(name="Alice", mood="excited")
        with ThreadPoolExecutor(100) as pool:
            calls = [
                pool.submit(block, model_id=TINY, messages=None, input=person, output=Greeting)
                for _ in range(100)
            ]
            results = [call.result() for call in calls]
        records = store.open_store(settings.load())
        processes = [psutil.Process(node.handle["pid"]) for node in records.nodes(live=True)]
        assert len(processes) == 2
    finally:
        block.delete()
        down(settings.load())
    assert len(results) == 100
    assert all(isinstance(result, Greeting) for result in results)
    assert not any(process.is_running() for process in processes)
    assert records.nodes() == []


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Note:
    title: str
    words: list[str]
    author: Person


TYPES: list[Any] = [
    str,
    list[str],
    Greeting,
    Person,
    Note,
    list[Person],
    dict[str, str],
    Optional[str],
    Color,
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_strings_and_lists_end_under_any_schema(lm: LMLite, type_: Any) -> None:
    inputs = [Person("Ada", "calm"), "The small ship in the harbor", Greeting("Hi", ["tea", "salt"]), 7]
    for value in inputs:
        lm(input=value, output=type_, guidance="Fill in the record.")  # OutputTruncated if one did not


def test_chat_answers_in_text(lm: LMLite) -> None:
    text = lm(messages=[{"role": "user", "content": "hi there"}], system_message="You greet.", max_tokens=40)
    assert isinstance(text, str)
    assert (
        "".join(
            lm.stream(
                messages=[{"role": "user", "content": "hi there"}], system_message="You greet.", max_tokens=40
            )
        )
        == text
    )
