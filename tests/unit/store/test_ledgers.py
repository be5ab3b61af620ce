"""A ledger keeps one row for each item, for its project, until it is deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conduit.errors import ConduitError
from conduit.store import LedgerCounts, LedgerRow, LedgerSummary, Store

ROW = LedgerRow(
    ledger="tickets",
    key="a" * 64 + ":0",
    item=0,
    state="done",
    result=b'{"urgent":true}',
    error=None,
    error_text=None,
    block="flows.inbox:triage",
    version="v1",
    schema_hash="s1",
    model_id="conduit/tiny",
    revision="r1",
    engine="mistralrs",
    sampling={"temperature": 0.0, "stop": ["x"]},
    attempts=1,
    flow_run_id="run",
    finished_at=10.0,
)
FAILED = replace(ROW, state="failed", result=None, error="block.input", error_text="no text")


def numbered(count: int, row: LedgerRow = ROW) -> list[LedgerRow]:
    return [replace(row, key=f"k{number}", item=number) for number in range(count)]


def test_a_row_keeps_every_field(store: Store):
    plain = replace(FAILED, key="b:0", sampling=None, schema_hash=None, model_id=None, flow_run_id=None)
    store.ledger_put([ROW, plain])
    assert store.ledger_lookup("tickets", [ROW.key, "b:0", "none"]) == {ROW.key: ROW, "b:0": plain}


def test_an_item_has_one_row_which_the_last_word_writes_over(store: Store):
    store.ledger_put([FAILED])
    store.ledger_put([replace(ROW, attempts=2)])
    assert store.ledger_rows("tickets", limit=10) == [replace(ROW, attempts=2)]


def test_ten_thousand_keys_are_looked_up_at_once(store: Store):
    rows = numbered(10_000)
    store.ledger_put(rows)
    found = store.ledger_lookup("tickets", [row.key for row in rows])
    assert found == {row.key: row for row in rows}


def test_rows_are_paged_by_item(store: Store):
    store.ledger_put(numbered(10))
    pages, after = [], None
    while page := store.ledger_rows("tickets", after=after, limit=3):
        pages.append([row.item for row in page])
        after = page[-1].item
    assert pages == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_rows_of_one_item_are_never_parted(store: Store):
    same = [replace(ROW, key=f"x{number}", item=1) for number in range(4)]
    store.ledger_put([ROW, *same, replace(ROW, key="z", item=2)])
    first = store.ledger_rows("tickets", limit=2)
    assert [row.key for row in first] == [ROW.key, "x0", "x1", "x2", "x3"]
    assert [row.key for row in store.ledger_rows("tickets", after=1, limit=2)] == ["z"]


def test_rows_are_found_by_state(store: Store):
    store.ledger_put([*numbered(3), replace(FAILED, key="bad", item=7)])
    assert [row.key for row in store.ledger_rows("tickets", state="failed", limit=10)] == ["bad"]
    assert [row.item for row in store.ledger_rows("tickets", state="done", limit=10)] == [0, 1, 2]


def test_counts_and_summaries(store: Store):
    store.ledger_put([*numbered(3), replace(FAILED, key="bad", item=7, block="m:other")])
    store.ledger_put([replace(ROW, ledger="old", finished_at=5.0)])
    size = 3 * len(ROW.result or b"")
    assert store.ledger_counts("tickets") == LedgerCounts(done=3, failed=1, bytes=size)
    assert store.ledger_counts("none") == LedgerCounts()
    assert store.ledgers() == [
        LedgerSummary("tickets", 3, 1, size, ("flows.inbox:triage", "m:other"), 10.0),
        LedgerSummary("old", 1, 0, len(ROW.result or b""), ("flows.inbox:triage",), 5.0),
    ]


def test_a_ledger_is_deleted_and_no_other(store: Store):
    store.ledger_put([*numbered(3), replace(ROW, ledger="other")])
    assert store.ledger_delete("tickets") == 3
    assert store.ledger_delete("tickets") == 0
    assert [summary.name for summary in store.ledgers()] == ["other"]


def test_ledgers_of_one_name_in_two_projects_are_two(url: str):
    ours, theirs = Store(url, project="ours"), Store(url, project="theirs")
    ours.ledger_put([ROW])
    theirs.ledger_put([replace(ROW, attempts=9)])
    assert ours.ledger_rows("tickets", limit=9) == [ROW]
    assert ours.ledger_delete("tickets") == 1
    assert theirs.ledger_rows("tickets", limit=9) == [replace(ROW, attempts=9)]
    assert (ours.ledgers(), ours.ledger_lookup("tickets", [ROW.key])) == ([], {})
    ours.close()
    theirs.close()


def test_rows_are_written_together_or_not_at_all(store: Store):
    broken = replace(ROW, key="broken", block=None)
    with pytest.raises(ConduitError):
        store.ledger_put([*numbered(3), broken])  # type: ignore[list-item]
    assert store.ledger_rows("tickets", limit=10) == []


def test_no_rows_are_no_work(store: Store):
    store.ledger_put([])
    assert store.ledgers() == []


def test_a_message_with_what_no_database_takes_is_kept(store: Store):
    store.ledger_put([replace(FAILED, error_text="half \ud800, nought \0")])
    assert store.ledger_rows("tickets", limit=1)[0].error_text == "half ?, nought \ufffd"
