"""The compose files' commands and variables as plain processes: a flow goes through all of them."""

import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import duckdb
import httpx
import psycopg
import pytest

from support import compose, postgres
from support.command_line import until
from support.prefect_commands import Prefect, free_port, healthy, started

SERVER, WORKER = "prefect-server.yaml", "worker-and-simulator.yaml"
PROGRAMS = postgres.programs()

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAMS is None, reason="no Postgres found: apt-get install postgresql"),
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="no Redis found: apt-get install redis-server"
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Stack:
    """The services, on free ports of this machine."""

    def __init__(self, folder):
        self.folder, self._exits = folder, ExitStack()
        self.given = {name: secrets.token_hex(12) for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD")}
        self.given["PREFECT_AUTH"] = f"team:{secrets.token_hex(12)}"
        self.ports = {name: free_port() for name in ("postgres", "redis", "api", "simulator")}
        api = self.ports["api"]
        self.api_url = f"http://127.0.0.1:{api}/api"
        self._elsewhere = {
            "@postgres:5432": f"@127.0.0.1:{self.ports['postgres']}",
            "@redis:6379": f"@127.0.0.1:{self.ports['redis']}",
            "port 6379": f"port {self.ports['redis']}\\nbind 127.0.0.1",
            "-p 6379": f"-p {self.ports['redis']}",
            "127.0.0.1:4200": f"127.0.0.1:{api}",
            "http://api:4200": f"http://127.0.0.1:{api}",
            "4200": str(api),
            "0.0.0.0": "127.0.0.1",
            "8321": str(self.ports["simulator"]),
            "/shared": str(folder),
            "/data": str(folder / "data"),
        }

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._exits.close()

    def service(self, file, name):
        """Its command, its environment and its health check."""
        found = compose.service(file, name, self.given, self._elsewhere)
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "CONDUIT_"))}
        beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        home = {"PATH": beside, "PREFECT_HOME": str(self.folder / name), "DO_NOT_TRACK": "1"}
        return found, inherited | home | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")} | found.environment

    def run(self, file, name):
        """A service that ends by itself."""
        found, environment = self.service(file, name)
        done = subprocess.run(
            found.command,
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, file, name, cwd=None):
        """A service that goes on; returns when its health check succeeds."""
        found, environment = self.service(file, name)
        log = self.folder / f"{name}.log"
        process = self._exits.enter_context(
            started(found.command, cwd=cwd or self.folder, log=log, environment=environment)
        )

        def look():
            assert process.poll() is None, (
                f"{name} ended with {process.returncode}:\n{log.read_text()[-3000:]}"
            )
            check = subprocess.run(found.check, env=environment, capture_output=True, timeout=30, check=False)
            return check.returncode == 0

        if name == "api":
            healthy(self.api_url, process, log)
        if found.check:
            until(look, f"{name} is healthy", 150)
        return log

    def database(self):
        """Postgres as its image makes it: a role and a database, with the file's names."""
        assert PROGRAMS is not None
        cluster = self._exits.enter_context(postgres.running(PROGRAMS, self.ports["postgres"]))
        named = compose.read(SERVER)["services"]["postgres"]["environment"]
        user, password = named["POSTGRES_USER"], self.given["POSTGRES_PASSWORD"]
        with cluster.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            connection.execute(f"CREATE DATABASE {named['POSTGRES_DB']} OWNER {user}")
        port = self.ports["postgres"]
        return f"postgresql://{user}:{password}@127.0.0.1:{port}/{named['POSTGRES_DB']}"


def test_a_flow_goes_through_all_of_them(tmp_path, checkout):
    with Stack(tmp_path) as stack:
        url = stack.database()
        stack.start(SERVER, "redis")
        stack.run(SERVER, "migrate")
        stack.start(SERVER, "api")
        services = stack.start(SERVER, "services")
        stack.start(WORKER, "simulator")
        worker = stack.start(WORKER, "worker", cwd=checkout)

        auth = stack.given["PREFECT_AUTH"]
        prefect = Prefect(
            stack.api_url, checkout, tmp_path, PREFECT_API_AUTH_STRING=auth, PREFECT_HOME=str(tmp_path)
        )
        assert httpx.get(f"{stack.api_url}/admin/version").status_code == 401, "the API is open to everybody"
        prefect.api.auth = tuple(auth.split(":"))
        with prefect.api:
            until(
                lambda: prefect.api.get("/work_pools/conduit").is_success, "the worker has made its pool", 90
            )
            prefect("--no-prompt", "deploy", "--all")
            run_id = prefect.trigger("nightly-tickets/nightly")
            ended = prefect.ended(run_id, worker)
            assert ended["state_type"] == "COMPLETED", worker.read_text()[-6000:]

            def scheduled():
                body = {"flow_runs": {"deployment_id": {"any_": [ended["deployment_id"]]}}, "limit": 5}
                runs = prefect.api.post("/flow_runs/filter", json=body).json()
                return [run for run in runs if run["auto_scheduled"]]

            # It is the process of the services that schedules: the API has none.
            until(scheduled, f"the nights are scheduled: {services.read_text()[-2000:]}", 90)

        # The flow's replicas were pods of the simulator, its run is in Postgres, and its events went through Redis.
        assert "running" in (tmp_path / "simulator.log").read_text()
        with psycopg.connect(url) as connection:
            [[count]] = connection.execute(
                "SELECT count(*) FROM task_run WHERE flow_run_id = %s", [run_id]
            ).fetchall()
        assert count > 0
        assert keys(stack) > 0
        with duckdb.connect(checkout / "nights.duckdb", read_only=True) as database:
            [(messages, failed)] = database.execute("SELECT messages, failed FROM nights").fetchall()
        assert messages == len(list((checkout / "flows" / "messages").iterdir()))
        assert failed == 0


def keys(stack):
    """How many keys Redis holds; without the password it tells nobody."""
    from redis import Redis
    from redis.exceptions import AuthenticationError

    with Redis(port=stack.ports["redis"]) as stranger, pytest.raises(AuthenticationError):
        stranger.dbsize()
    with Redis(port=stack.ports["redis"], password=stack.given["REDIS_PASSWORD"]) as client:
        return client.dbsize()
