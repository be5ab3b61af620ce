"""Every seeded fault is found where it stands and nothing else is; flows that are right are left alone."""

from __future__ import annotations

import pytest

from conduit.dataflow.check import CODES
from support.checked_files import FAULTS, FLOWS, SOUND, findings, seeded

IN_A_CHILD = {"runs_at_import"}
HERE = [path for path in FAULTS if path.stem not in IN_A_CHILD]


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_the_fault_is_found_on_its_line_and_nothing_else(path):
    assert seeded(path)
    assert sorted((found.line, found.code) for found in findings(path)) == seeded(path)


@pytest.mark.parametrize("path", [*FLOWS, *SOUND], ids=lambda path: path.stem)
def test_a_flow_that_is_right_is_left_alone(path):
    assert [f"{found.line}: {found.code} {found.message}" for found in findings(path)] == []


def test_a_comment_silences_what_it_names_and_no_more(tmp_path):
    path = next(path for path in FAULTS if path.stem == "record_for_text")
    fault = "# FAULT check.edge_type"
    for comment, silent in {
        "# conduit: ignore[check.edge_type]": True,
        "# conduit: ignore[edge_type]": True,
        "# conduit: ignore": True,
        "# conduit: ignore[check.attribute]": False,
    }.items():
        copy = tmp_path / "copy.py"
        copy.write_text(path.read_text().replace(fault, comment))
        assert (findings(copy) == []) is silent, comment


def test_a_faulty_flow_is_not_read_when_another_is_asked_for(tmp_path):
    path = tmp_path / "two.py"
    faulty = next(path for path in FAULTS if path.stem == "record_for_text").read_text()
    path.write_text(faulty + "\n\n@flow\ndef other(page: str) -> list[str]:\n    return split(page)\n")
    assert [found.code for found in findings(path)] == ["check.edge_type"]
    assert findings(path, "other") == []


def test_there_are_at_least_twenty_kinds_of_faults():
    kinds = {code for path in FAULTS for _, code in seeded(path)}
    assert len(FAULTS) >= 40
    assert len(kinds) >= 20
    assert kinds <= set(CODES)


MESSAGES = {
    "record_for_text": ("split(page) takes str, and gets HttpResponse.", "A field of it fits: .url, .text."),
    "list_for_item": ("answer(ticket) takes Ticket, and gets list[Ticket].", ".map(…)"),
    "optional_field": ("lookup(order) takes int, and gets int | None; None is no int.", "test for it before"),
    "failures_go_on": ("Ticket | ItemFailure; ItemFailure is no Ticket.", "isinstance(x, ItemFailure)"),
    "not_awaited": ("split(page) takes str, and gets a coroutine of str.", "Put `await` before"),
    "misspelt_field": ("HttpResponse has no attribute body.", "It has content, headers, status, text, url."),
    "field_of_list": ("list[Ticket] has no attribute summary.", "[x.summary for x in …]"),
    "handle_for_value": ("BlockFuture[Ticket] has no attribute summary.", ".result() waits"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_both_types_and_its_hint_the_way_out(name):
    message, hint = MESSAGES[name]
    found = findings(next(path for path in FAULTS if path.stem == name))[0]
    assert message in found.message
    assert hint in (found.hint or "")


def test_the_column_is_that_of_the_argument(tmp_path):
    path = tmp_path / "wide.py"
    path.write_text(
        "from conduit import block\n\n\n@block\ndef double(number: int) -> int:\n    return 2 * number\n\n\n"
        'def late() -> None:\n    print("größe", double(number=b"\\xff"))\n'
    )
    assert [(found.line, found.column) for found in findings(path)] == [(10, 34)]
