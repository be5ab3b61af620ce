"""The page on errors has every class, under its own code, with what the tree says of it and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conduit import errors
from conduit.errors import ConduitError

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
ROWS = re.findall(r"^\| \*?`(\w+)`\*?<br>`([\w.]+)` \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
DRAWN = {
    name: text.strip() for name, text in re.findall(r"─ (\w+) +(.+)$", errors.__doc__ or "", re.MULTILINE)
}


def test_each_class_has_one_row_under_its_own_code() -> None:
    told = [(name, code) for name, code, _, _ in ROWS]
    assert len(told) == len(set(told))
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, ConduitError)
    }
    assert set(told) == {(kind.__name__, kind.code) for kind in classes}


@pytest.mark.parametrize(
    ("name", "happened"), [(name, happened) for name, _, happened, _ in ROWS if name in DRAWN]
)
def test_what_happened_is_what_the_tree_says(name: str, happened: str) -> None:
    assert happened == DRAWN[name]
