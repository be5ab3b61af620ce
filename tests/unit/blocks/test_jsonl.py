import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from conduit.blocks import BadLine, read_jsonl, scan_jsonl, write_jsonl
from conduit.errors import FileError


@dataclass
class Ticket:
    id: int
    text: str
    opened: dt.datetime
    tags: list[str]
    note: str | None = None


class Model(BaseModel):
    id: int = Field(alias="ID")


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_typed_rows_come_back_equal(tmp_path, texts):
    rows = [Ticket(i, text, dt.datetime(2026, 1, 2, 3, 4, 5, i), [text]) for i, text in enumerate(texts)]
    written = write_jsonl(tmp_path / "a.jsonl", rows)
    assert written.size_bytes == (tmp_path / "a.jsonl").stat().st_size
    assert read_jsonl(written.path, row_type=Ticket) == rows
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == len(rows)


def test_models_with_aliases_typed_dicts_and_plain_values_are_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [Model(ID=1)])
    assert path.read_text() == '{"ID":1}\n'
    assert read_jsonl(path, row_type=Model) == [Model(ID=1)]
    write_jsonl(path, [{"title": "M", "year": 1931}, {"title": "Ran"}])
    assert read_jsonl(path, row_type=Movie) == [{"title": "M", "year": 1931}, {"title": "Ran"}]
    write_jsonl(path, [1, "two", None])
    assert read_jsonl(path) == [1, "two", None]


def test_a_bad_line_is_named_or_collected(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": 1, "text": "a", "opened": "2026-01-02T03:04:05", "tags": []}\n\n{"id": "x"}\nno json\n'
    )
    with pytest.raises(FileError, match=r"Line 3 of .*id") as caught:
        read_jsonl(path, row_type=Ticket)
    assert caught.value.line == 3
    first, third, fourth = read_jsonl(path, row_type=Ticket, errors="collect")
    assert first.id == 1
    assert isinstance(third, BadLine)
    assert (third.number, third.text, fourth.number, fourth.text) == (3, '{"id": "x"}', 4, "no json")
    assert "text: Field required" in third.error


def test_a_scan_gives_batches_and_reads_no_further_than_asked(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(7)) + "no json\n")
    batches = scan_jsonl(path, row_type=int, batch_rows=3)
    assert [next(batches), next(batches)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(FileError, match="Line 8"):
        next(batches)


def test_limits_hold(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("1\n" * 100)
    with pytest.raises(FileError, match="more than 50 bytes"):
        read_jsonl(path, max_bytes=50)
    monkeypatch.setattr("conduit.blocks.jsonl.MAX_LINE_BYTES", 10)
    path.write_text("1\n" + "2" * 20)
    with pytest.raises(FileError, match=r"Line 2 .* longer than 10 bytes"):
        list(scan_jsonl(path))
    for wrong in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileError):
            read_jsonl(wrong)


def test_append_adds_and_a_row_without_json_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [1, 2], append=True)
    write_jsonl(path, iter([3]), append=True)
    assert read_jsonl(path) == [1, 2, 3]
    for append in (True, False):
        with pytest.raises(FileError, match=r"Row 1 .* no JSON form"):
            write_jsonl(path, [4, object()], append=append)
        assert read_jsonl(path) == [1, 2, 3]
    with pytest.raises(FileError):
        write_jsonl(tmp_path / "new.jsonl", [object()], append=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
    assert write_jsonl(tmp_path / "deep" / "b.jsonl", [1], make_folders=True).size_bytes == 2


def test_an_iterator_is_written_as_it_comes(tmp_path):
    taken = []

    def rows():
        for n in range(5000):
            taken.append(n)
            yield {"n": n}
            if n == 3000:
                assert next(tmp_path.glob(".conduit-*.part")).stat().st_size > 0

    write_jsonl(tmp_path / "a.jsonl", rows())
    assert read_jsonl(tmp_path / "a.jsonl") == [{"n": n} for n in taken]
