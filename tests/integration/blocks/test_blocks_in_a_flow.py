from dataclasses import dataclass

from conduit.blocks import duckdb_insert, duckdb_query, http_get, run_command, sqlite_query, write_file


@dataclass
class Line:
    number: int
    text: str


def test_ready_made_blocks_are_tasks_of_a_real_flow_with_the_same_results(prefect_server, server, tmp_path):
    import httpx
    from prefect import flow

    server.paths["/page"] = lambda h: h.answer(b"one\ntwo")
    database = tmp_path / "lines.duckdb"

    @flow
    def collect(url: str) -> tuple[str, list[Line], list[dict]]:
        page = http_get(url).text
        write_file(tmp_path / "page.txt", page)
        upper = run_command(["tr", "a-z", "A-Z"], stdin=page).stdout
        inserted = duckdb_insert(database, "lines", [Line(n, t) for n, t in enumerate(upper.split("\n"))])
        assert inserted.rows == 2
        flow_run = sqlite_query(":memory:", "select 1 as one")
        return page, duckdb_query(database, "from lines order by number", row_type=Line), flow_run

    page, lines, ones = collect(server.url("/page"))
    assert page == "one\ntwo"
    assert lines == [Line(0, "ONE"), Line(1, "TWO")]
    assert ones == [{"one": 1}]
    runs = httpx.post(f"{prefect_server}/task_runs/filter", json={"limit": 50}).json()
    names = {run["name"].rsplit("-", 1)[0] for run in runs}
    assert {"http_get", "write_file", "run_command", "duckdb_insert", "sqlite_query", "duckdb_query"} <= names
