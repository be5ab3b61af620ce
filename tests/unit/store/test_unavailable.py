"""A database that cannot be used is one typed error that names the place and the remedy."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from conduit.errors import MissingDependency, StoreUnavailable
from conduit.settings import Settings
from conduit.store import BlockCall, CallState, FlowRun, ModelCall, Store, open_store


def test_importing_opens_nothing_and_needs_no_prefect(tmp_path: Path):
    code = "import conduit.store, sys; assert 'prefect' not in sys.modules"
    environment = os.environ | {"CONDUIT_DATA_DIR": str(tmp_path / "data")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "data").exists()


def test_opening_a_database_that_is_new_or_up_to_date_does_not_load_alembic(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'conduit.db'}"
    code = "from conduit.store import Store; Store(sys.argv[1]).close(); assert 'alembic' not in sys.modules"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", f"import sys; {code}", url], check=True)


def test_one_store_for_each_database(tmp_path: Path):
    first, again = (open_store(Settings(data_dir=tmp_path / "a")) for _ in range(2))
    other = open_store(Settings(data_dir=tmp_path / "b"))
    try:
        assert first is again
        assert first is not other
        assert first.location == str(tmp_path / "a" / "conduit.db")
    finally:
        first.close()
        other.close()


def test_a_store_without_a_run_log_keeps_no_row_of_it(tmp_path: Path):
    store = open_store(Settings(data_dir=tmp_path, run_log=False))
    store.log_call(ModelCall(time.time(), "m"))
    store.log_block_call(BlockCall("c", "m:f", time.time(), 0.1, CallState.DONE))
    store.put_flow_run(FlowRun("run", "flow", "name", time.time()))
    other = open_store(Settings(data_dir=tmp_path))
    other.log_call(ModelCall(time.time(), "kept"))
    assert [call.model_id for call in other.model_calls()] == ["kept"]
    assert other.block_calls(limit=1) == other.flow_runs(limit=1) == []
    store.close()
    other.close()


def test_a_new_data_folder_is_closed_to_other_users(tmp_path: Path):
    store = open_store(Settings(data_dir=tmp_path / "data"))
    store.close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_read_only_data_folder_is_named_with_the_remedy(tmp_path: Path):
    open_store(Settings(data_dir=tmp_path)).close()  # so that nothing is imported without rights below
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nothing is read-only to root
        try:
            with pytest.raises(StoreUnavailable) as caught:
                open_store(Settings(data_dir=folder))
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
    assert name in caught.value.message
    assert caught.value.path == str(folder / "conduit.db")
    assert "CONDUIT_DATA_DIR" in str(caught.value.hint)


def test_a_read_only_database_is_named_with_the_remedy(tmp_path: Path):
    open_store(Settings(data_dir=tmp_path)).close()
    url = f"sqlite:///file:{tmp_path / 'conduit.db'}?mode=ro&uri=true"
    store = open_store(Settings(data_dir=tmp_path, db_url=SecretStr(url)))
    with pytest.raises(StoreUnavailable, match="readonly") as caught:
        store.put_deployment("key", project="p", owner="o", provider="local", spec={})
    store.close()
    assert "write" in str(caught.value.hint)


def test_a_data_folder_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        open_store(Settings(data_dir=tmp_path / "file" / "data"))


def test_a_damaged_database_is_never_overwritten(tmp_path: Path):
    file = tmp_path / "conduit.db"
    file.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreUnavailable) as caught:
        open_store(Settings(data_dir=tmp_path))
    assert "move it away" in str(caught.value.hint)
    assert file.read_bytes() == b"this is no database" * 1000


def test_a_database_of_a_newer_conduit(tmp_path: Path):
    open_store(Settings(data_dir=tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / "conduit.db")) as connection, connection:
        connection.execute("UPDATE conduit_version SET version_num = '0099'")
    connection.close()
    with pytest.raises(StoreUnavailable, match="0099") as caught:
        Store(f"sqlite:///{tmp_path / 'conduit.db'}")
    assert "Upgrade" in str(caught.value.hint)


def test_a_full_disk_is_said_once_and_the_records_stay_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = open_store(Settings(data_dir=tmp_path))
    store.put_deployment("before", project="p", owner="o", provider="local", spec={})
    store.close()

    def shrink(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite then takes the size that it has

    event.listen(store._database._engine, "connect", shrink)
    try:
        with pytest.raises(StoreUnavailable, match="full") as caught:
            store.put_deployment("after", project="p", owner="o", provider="local", spec={"x": "y" * 10**6})
        assert "space" in str(caught.value.hint)
        for number in range(3):
            store.log_call(ModelCall(1.0, "m" * 10**6))
            store.log_block_call(BlockCall(f"{number}", "m" * 10**6, 1.0, 0.1, CallState.DONE))
            store.put_flow_run(FlowRun("run", "f" * 10**6, "name", 1.0))
            assert store.flush()
        (said,) = caplog.records
        assert "full" in said.message
        assert [d.key for d in store.deployments()] == ["before"]
    finally:
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "hunter2 is my password",
        "postgresql://user:hunter2@host:port/conduit",
        "mysql://user:hunter2@host/conduit",
        "postgresql://user:a@hunter2@host/conduit",
    ],
)
def test_an_url_that_is_of_no_use_is_not_repeated(url: str):
    with pytest.raises(StoreUnavailable, match="CONDUIT_DB_URL") as caught:
        Store(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_driver_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependency, match="psycopg") as caught:
        Store("postgresql://user:hunter2@127.0.0.1/conduit")
    assert caught.value.hint == "pip install 'conduit-dataflow[postgres]'"
    assert "hunter2" not in str(caught.value)
