"""Bounds on callers' schemas, and the form in which a grammar takes them."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest

from gpu_server.schemas.bounds import MAX_DEPTH, MAX_VALUES, SchemaRefused, check_bounds, grammar_text


def test_schemas_leave_no_room_for_idle_white_space() -> None:
    text = json.loads(grammar_text({"type": "object"}))
    assert text == {"type": "object", "x-guidance": {"whitespace_flexible": False}}
    kept = json.loads(grammar_text({"x-guidance": {"whitespace_flexible": True, "lenient": True}}))
    assert kept["x-guidance"] == {"whitespace_flexible": True, "lenient": True}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"enum": list(range(MAX_VALUES))}, "values"),
        (reduce(lambda inner, _: {"items": inner}, range(MAX_DEPTH), {}), "deeper"),
        (reduce(lambda inner, _: {"items": inner}, range(900), {}), "deeper"),
        ({"x-guidance": 5}, "x-guidance"),
    ],
    ids=["wide", "deep", "deeper", "options"],
)
def test_schemas_that_could_hold_up_the_batch_are_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(SchemaRefused, match=why):
        check_bounds(schema)
    with pytest.raises(SchemaRefused, match=why):
        grammar_text(schema)


def test_the_largest_that_is_taken_is_taken() -> None:
    check_bounds({"enum": list(range(MAX_VALUES - 2))})
    check_bounds(reduce(lambda inner, _: {"items": inner}, range(MAX_DEPTH - 1), {}))
