"""The guarantee: whatever a model wants to say, an answer fits its type or is a typed error.

A model with random weights at temperature 1 writes noise; under bounded types every answer must be a value, under
unbounded ones every answer must be a value or ``OutputTruncated``.
"""

from __future__ import annotations

import datetime
import enum
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from _report import report
from pydantic import BaseModel, Field, TypeAdapter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
import random_weights
from conduit import ComputeProvider, LMLite, ModelConfig
from conduit.errors import OutputTruncated

BOUNDED, UNBOUNDED = 500, 100
Short = Annotated[str, Field(max_length=12)]
Small = Annotated[int, Field(ge=-99, le=99)]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    left: Small
    right: bool


@dataclass
class Flat:
    name: Short
    count: Small
    share: Annotated[float, Field(ge=0, le=1)]
    ok: bool


@dataclass
class Choices:
    color: Color
    topic: Literal["billing", "other"]
    level: Literal[1, 2, 3] | None


class Inner(BaseModel):
    code: Annotated[str, Field(pattern="^[A-Z]{2}-[0-9]{3}$")]
    note: Short | None


class Nested(BaseModel):
    first: Inner
    others: Annotated[list[Inner], Field(max_length=3)]


@dataclass
class Times:
    day: datetime.date
    either: Short | Small


@dataclass
class Free:
    name: str
    tags: list[str]


BOUNDED_TYPES: list[Any] = [
    Flat,
    Choices,
    Nested,
    Times,
    Pair,
    Annotated[list[Small], Field(min_length=1, max_length=5)],
    Annotated[dict[Literal["a", "b"], bool], Field(max_length=2)],
    tuple[Short, Small],
]
UNBOUNDED_TYPES: list[Any] = [Free, str, list[int], dict[str, str]]


def main() -> None:
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        model = random_weights.make(Path(folder) / "model")
        config = ModelConfig(str(model), max_model_len=1024, max_model_concurrency=32)
        with LMLite(config, ComputeProvider.LOCAL, idle_timeout=120) as lm:

            def ask(job: tuple[str, Any, int]) -> str:
                kind, type_, number = job
                try:
                    value = lm(input=f"Number {number}", output=type_, temperature=1.0, max_tokens=500)
                except OutputTruncated:
                    return f"{kind}: truncated"
                except Exception as error:
                    return f"{kind}: {type(error).__name__}: {error}"
                TypeAdapter(type_).validate_python(value, strict=True)
                return f"{kind}: valid"

            jobs = [("bounded", BOUNDED_TYPES[i % len(BOUNDED_TYPES)], i) for i in range(BOUNDED)]
            jobs += [("unbounded", UNBOUNDED_TYPES[i % len(UNBOUNDED_TYPES)], i) for i in range(UNBOUNDED)]
            with ThreadPoolExecutor(32) as pool:
                seen.update(pool.map(ask, jobs))
            lm.delete()
    for outcome, count in sorted(seen.items()):
        print(f"{count:5} {outcome}")
    free = seen["unbounded: valid"] + seen["unbounded: truncated"]
    report(
        "json_guarantee",
        seen["bounded: valid"] / BOUNDED,
        1.0,
        "higher",
        ok=free == UNBOUNDED,
        bounded_valid=seen["bounded: valid"],
        bounded=BOUNDED,
        unbounded_valid=seen["unbounded: valid"],
        unbounded_truncated=seen["unbounded: truncated"],
        unbounded=UNBOUNDED,
    )


if __name__ == "__main__":
    main()
