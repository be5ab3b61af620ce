"""Which task made a value: found again in slices, gathered lists and fields, and never in what only looks alike."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from enum import Enum
from uuid import uuid4

from pydantic import BaseModel

from conduit.dataflow import lineage as lineage_module
from conduit.dataflow.lineage import Lineage


@dataclass
class Page:
    text: str
    status: int = 200


class Model(BaseModel):
    text: str


class Color(Enum):
    RED = "red"


def text(number: int) -> str:
    return f"message number {number}"


def test_a_value_its_items_and_its_fields_are_known() -> None:
    lineage, run = Lineage(), uuid4()
    pages = [Page(text(1)), Page(text(2))]
    lineage.record(pages, [run])
    for value in (pages, pages[0], pages[1].text, pages[:1], [p.text for p in pages], {"a": pages[0]}):
        assert lineage.makers(value) == {run}


def test_fields_of_models_and_values_of_dicts_are_known() -> None:
    lineage, run = Lineage(), uuid4()
    model, row = Model(text=text(1)), {"name": text(2)}
    lineage.record([model, row], [run])
    assert lineage.makers(model.text) == lineage.makers(row["name"]) == {run}


def test_a_gathered_list_has_all_makers() -> None:
    lineage, first, second = Lineage(), uuid4(), uuid4()
    a, b = Page(text(1)), Page(text(2))
    lineage.record([a], [first])
    lineage.record([b], [second])
    assert lineage.makers([a, b]) == {first, second}
    assert lineage.makers([Page(a.text)]) == {first}


def test_the_last_maker_counts() -> None:
    lineage, first, second = Lineage(), uuid4(), uuid4()
    page = Page(text(1))
    lineage.record(page, [first])
    lineage.record(page, [second])
    assert lineage.makers(page) == {second}


def test_equal_values_that_no_task_made_are_unknown() -> None:
    lineage = Lineage()
    page = Page(text(1))
    lineage.record(page, [uuid4()])
    assert lineage.makers(Page(text(1))) == set()
    assert lineage.makers(replace(page, text=text(1))) == set()


def test_what_python_shares_is_never_taken_for_a_result() -> None:
    lineage = Lineage()
    for shared in (None, True, 7, "", "a", "billing", (), b"", Color.RED, Page, ...):
        lineage.record(shared, [uuid4()])
        assert lineage.makers(shared) == set(), shared
    lineage.record(Page("billing", 200), [uuid4()])
    assert lineage.makers("billing") == lineage.makers(200) == set()


def test_a_new_object_at_an_old_address_is_unknown() -> None:
    lineage = Lineage()
    for number in range(200):
        lineage.record(Page(text(number)), [uuid4()], depth=0)
    gc.collect()
    assert [lineage.makers(Page(text(number))) for number in range(200)] == [set()] * 200


def test_memory_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(lineage_module, "_CAPACITY", 10)
    lineage, run = Lineage(), uuid4()
    texts = [text(number) for number in range(50)]
    for one in texts:
        lineage.record(one, [run])
    assert lineage.makers(texts[0]) == set()
    assert lineage.makers(texts[-1]) == {run}
