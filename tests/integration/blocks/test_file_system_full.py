import subprocess
import sys

from conduit.blocks import read_jsonl, read_table, sqlite_insert, sqlite_query, write_jsonl, write_table

CODE = """
import resource, sys
from conduit.blocks import write_file
from conduit.errors import FileError
# The kernel refuses every byte beyond this, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    write_file(sys.argv[1], b"n" * 5_000_000)
except FileError as error:
    print(error.code, "5000000 bytes" in error.message)
"""


def test_a_write_that_the_disk_refuses_half_way_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    for name in ("a.bin", "fresh.bin"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("file True\n", "")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


OTHERS = """
import resource, sys
from pathlib import Path
from conduit.blocks import sqlite_insert, write_jsonl, write_table
from conduit.errors import FileError, SqlError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
folder = Path(sys.argv[1])
rows = [{"n": n, "text": f"{n * 7919 % 1000003:08d}" * 20} for n in range(50_000)]
for call in (
    lambda: write_jsonl(folder / "a.jsonl", rows),
    lambda: write_jsonl(folder / "a.jsonl", rows, append=True),
    lambda: write_jsonl(folder / "new.jsonl", rows, append=True),
    lambda: write_table(folder / "a.parquet", rows),
    lambda: write_table(folder / "a.csv", rows),
    lambda: sqlite_insert(folder / "a.db", "t", rows),
):
    try:
        call()
        print("written")
    except (FileError, SqlError):
        print("refused")
"""


def test_no_writing_block_leaves_anything_half_written_on_a_full_disk(tmp_path):
    small = [{"n": 1, "text": "old"}]
    write_jsonl(tmp_path / "a.jsonl", small)
    for name in ("a.parquet", "a.csv"):
        write_table(tmp_path / name, small)
    sqlite_insert(tmp_path / "a.db", "t", small)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", OTHERS, str(tmp_path)], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["refused"] * 6, "")
    assert read_jsonl(tmp_path / "a.jsonl") == small
    assert read_table(tmp_path / "a.parquet") == read_table(tmp_path / "a.csv") == small
    assert sqlite_query(tmp_path / "a.db", "select * from t") == small
    assert sorted(path.name for path in tmp_path.iterdir()) == before
