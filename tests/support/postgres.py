"""A Postgres server of the tests' own, where the programs are installed: a new cluster in a temporary folder.

It listens on a Unix socket, and where a port is asked for on the loopback address, too; it asks for a password, and
need not survive a power cut.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = secrets.token_hex(8)
_USER = "postgres"
_START_S = 50.0


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: on the path, or where Debian puts them."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else []
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found += sorted(debian, key=lambda path: float(path.parts[-3]), reverse=True)
    return next((path.parent for path in found if (path.parent / "postgres").exists()), None)


class Cluster:
    """A running server."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder
        self._port = port
        self._made = 0

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        """The URL of a database, which need not exist."""
        port = "" if self._port is None else f"&port={self._port}"
        return f"postgresql://{_USER}:{password}@/{database}?host={self._folder}{port}"

    def new_database(self) -> str:
        """Makes an empty database; its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with self.connect(_USER) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def connect(self, database: str) -> psycopg.Connection:
        """A connection whose statements commit at once."""
        return psycopg.connect(self.url(database), autocommit=True)


@contextmanager
def running(programs: Path, port: int | None = None) -> Iterator[Cluster]:
    """A cluster from its making to its end."""
    folder = Path(tempfile.mkdtemp(prefix="conduit-pg-"))
    user = _unprivileged()
    try:
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        initdb = [programs / "initdb", "-D", folder / "data", "-U", _USER, "--no-sync", "--encoding=UTF8"]
        initdb += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        options = {"user": user, "extra_groups": None if user is None else [], "cwd": "/", "env": environment}
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **options)
        command = [
            programs / "postgres",
            "-D",
            folder / "data",
            "-k",
            folder,
            "-F",
            "-c",
            f"listen_addresses={'' if port is None else '127.0.0.1'}",
        ]
        if port is not None:
            command += ["-p", str(port)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, **options)
        try:
            cluster = Cluster(folder, port)
            _wait(cluster, server, folder / "log")
            yield cluster
        finally:
            server.send_signal(signal.SIGINT)  # its word for: end at once, in order
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            cluster.connect(_USER).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Postgres did not start:\n{log.read_text()}") from error
            time.sleep(0.02)
        else:
            return


def _unprivileged() -> str | None:
    # Postgres refuses to run as root.
    return "nobody" if os.geteuid() == 0 else None
