"""Databases of every earlier version are brought up, keep their rows, and can be brought down again."""

from __future__ import annotations

from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from conduit.errors import StoreUnavailable
from conduit.store import Attempt, ModelCall, NodeState, Store, migrations, tables
from conduit.store.database import Database

OLD_ROWS = (
    "INSERT INTO deployment VALUES ('key', 'p', 'o', 'local', 'my name', '{}', 'ready', NULL, 10, 20)",
    "INSERT INTO node VALUES ('n1', 'key', 'local', 'o', 0, 'ready', '{\"pid\": 7}', NULL, 11, 12)",
    "INSERT INTO node VALUES ('n2', 'key', 'local', 'o', 1, 'lost', '{}', NULL, 13, 14)",
    (
        "INSERT INTO model_call (started_at, model_id, prompt_tokens, completion_tokens, latency_s, attempts,"
        " repairs) VALUES (1.0, 'before', 0, 0, 0, 1, 0)"
    ),
)


@pytest.fixture
def url(either_url: str) -> str:
    return either_url


@pytest.fixture
def database(url: str):
    with closing(Database(url)) as database:
        yield database


def differences(connection: Connection) -> list[object]:
    options = {"version_table": tables.version.name, "compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)


def bring_down(database: Database, version: str) -> None:
    with database.write() as connection:
        command.downgrade(migrations.configuration(connection), version)


def bring_up(database: Database, version: str) -> None:
    with database.write() as connection:
        command.upgrade(migrations.configuration(connection), version)


def make_old(database: Database, layout: int) -> None:
    """As a Conduit of the first layouts left it: without Alembic's table, with one of its own."""
    bring_down(database, f"{layout:04}")
    with database.write() as connection:
        tables.version.drop(connection)
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
        assert connection.scalar(text("SELECT version FROM layout")) == layout


def test_the_steps_are_those_that_the_tables_name(database: Database):
    with database.read() as connection:
        script = ScriptDirectory.from_config(migrations.configuration(connection))
    assert [step.revision for step in script.walk_revisions()] == list(reversed(tables.VERSIONS))


def test_each_step_goes_down_and_up_and_the_last_one_leads_to_the_tables(database: Database):
    with database.read() as connection:
        assert differences(connection) == []
    bring_down(database, "base")
    with database.read() as connection:
        assert inspect(connection).get_table_names() == [tables.version.name]
    for version in tables.VERSIONS:
        bring_up(database, version)
        with database.read() as connection:
            steps_missing = version != tables.VERSIONS[-1]
            assert bool(differences(connection)) is steps_missing
    for version in reversed(tables.VERSIONS[:-1]):
        bring_down(database, version)
    bring_up(database, "head")
    with database.read() as connection:
        assert differences(connection) == []


@pytest.mark.parametrize("layout", [1, 2])
def test_a_database_of_an_early_layout_is_brought_up_and_keeps_its_rows(
    database: Database, url: str, layout: int
):
    make_old(database, layout)
    database.close()
    with closing(Store(url)) as store:
        after = ModelCall(2.0, "after", attempt_log=(Attempt(prompt_tokens=3),))
        store.log_call(after)
        assert store.model_calls() == [after, ModelCall(1.0, "before")]
        first, second = store.nodes()
        assert (first.id, first.handle, first.ended_at, first.usd_per_hour) == ("n1", {"pid": 7}, None, None)
        assert (second.id, second.state, second.ended_at) == ("n2", NodeState.LOST, 14.0)
        store.transition("n1", NodeState.LOST)
        store.delete_deployment("key")
        (cost,) = store.costs()
        assert (cost.nodes, cost.name, cost.project) == (2, "my name", "p")
    with database.read() as connection:
        assert differences(connection) == []
    Store(url).close()  # once is enough


def test_a_database_of_the_first_step_is_brought_up(database: Database, url: str):
    bring_down(database, "0001")
    database.close()
    with closing(Store(url)) as store:
        assert store.model_calls() == []


def test_calls_that_are_there_belong_to_their_deployments_project(database: Database, url: str):
    bring_down(database, "0003")
    row = OLD_ROWS[3].split(" VALUES")[0].replace("model_id,", "model_id, deployment_key,")
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO node_cost (node_id, deployment_key, project, owner, provider, existed, reserved_usd,"
            " created_at, closed) VALUES ('n', 'key', 'p', 'o', 'local', true, 0, 1, false)"
        )
        connection.exec_driver_sql(f"{row} VALUES (1, 'ours', 'key', 0, 0, 0, 1, 0)")
        connection.exec_driver_sql(f"{row} VALUES (2, 'nobodys', NULL, 0, 0, 0, 1, 0)")
    database.close()
    with closing(Store(url, project="p")) as store:
        assert [call["model_id"] for call in store.exported("model_calls")] == ["ours"]
        assert [call.model_id for call in store.model_calls()] == ["nobodys", "ours"]
        (cost,) = store.costs()
        assert cost.calls == 1


def test_tables_of_other_hands_are_one_typed_error_and_nothing_changes(database: Database, url: str):
    make_old(database, 1)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE node")
    before = table_names(database)
    database.close()
    with pytest.raises(StoreUnavailable, match="node"):
        Store(url)
    assert table_names(database) == before


def test_another_programs_tables_are_not_taken_over(url: str, database: Database):
    bring_down(database, "base")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE node (theirs INTEGER)")
    database.close()
    with pytest.raises(StoreUnavailable, match="already exists") as caught:
        Store(url)
    assert "of its own" in str(caught.value.hint)


def test_a_version_that_alembic_cannot_go_on_from_is_a_typed_error(database: Database, url: str):
    bring_down(database, "0002")
    with database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO {tables.version.name} VALUES ('0001')")
    database.close()
    with pytest.raises(StoreUnavailable):
        Store(url)


def table_names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())
