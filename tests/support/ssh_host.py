"""A host that is reached over ssh: a real ``sshd`` on the loopback where it is installed, else asyncssh's server.

Both run as a process of their own, take one key, and give each command a home folder of the test's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

import asyncssh
import psutil

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
KINDS = ("sshd", "stand-in")


class SshHost:
    """One host.

    Attributes:
        address: As ``CONDUIT_SSH_HOSTS`` takes it.
        known_hosts: File with its key.
        home: The home folder of those who connect.
        client_home: Where the key that it takes lies, as ``.ssh/id_ed25519``.
        sessions: The most that it has of one connection when it starts (``sshd`` alone); 10 is OpenSSH's own limit.
    """

    def __init__(self, folder: Path, kind: str, variables: Mapping[str, str]):
        self.folder, self.kind = folder, kind
        self.sessions = 10
        self.home, self.client_home = folder / "home", folder / "client"
        for made in (self.home, self.client_home / ".ssh"):
            made.mkdir(parents=True, mode=0o700)
        host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.host_key = folder / "host_key"
        self.authorized = folder / "authorized_keys"
        write(self.host_key, host_key.export_private_key())
        write(self.client_home / ".ssh" / "id_ed25519", user_key.export_private_key())
        write(self.authorized, user_key.export_public_key())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key.export_public_key().decode()}")
        self.address = f"{getuser()}@127.0.0.1:{self.port}"
        self.variables = {
            "HOME": str(self.home),
            # The host's python3 is any; the one of the tests is there for sure.
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTEST_OF_CONDUIT": os.environ.get("PYTEST_OF_CONDUIT", ""),
            **variables,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = self._sshd() if self.kind == "sshd" else self._stand_in()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it with all its connections, as a loss of the network would; nodes live on."""
        for process in self._processes():
            with_signal(process, signal.SIGKILL)
        self.process.wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Neither new nor old connections get an answer."""
        stopped = self._processes()
        for process in stopped:
            with_signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                with_signal(process, signal.SIGCONT)

    def _processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        # A node is no child of the connection that started it any more, but may be for a moment.
        children = [
            child for child in root.children(recursive=True) if "CONDUIT_NODE" not in variables_of(child)
        ]
        return [root, *children]

    def _sshd(self) -> list[str]:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where Debian's gives up its rights
        variables = " ".join(f'{name}="{value}"' for name, value in self.variables.items())
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.authorized}\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nSetEnv {variables}\n"
            f"MaxSessions {self.sessions}\n"
        )
        return [SSHD, "-D", "-e", "-f", str(config)]

    def _stand_in(self) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        return [
            sys.executable,
            __file__,
            str(self.port),
            str(self.host_key),
            str(self.authorized),
            *variables,
        ]


@contextmanager
def ssh_host(folder: Path, kind: str, **variables: str) -> Iterator[SshHost]:
    host = SshHost(folder, kind, variables)
    host.start()
    try:
        yield host
    finally:
        host.stop()


def with_signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def variables_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


async def serve(port: int, host_key: str, authorized: str, variables: dict[str, str]) -> None:
    async def handle(session: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            session.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
        )
        await session.redirect(child.stdin, child.stdout, child.stderr)
        session.exit(await child.wait())

    class Server(asyncssh.SSHServer):
        def connection_requested(self, *_: object) -> bool:
            return True  # forwards to the loopback

    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=Server,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=handle,
        encoding=None,
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    import asyncio

    number, key, keys, *pairs = sys.argv[1:]
    asyncio.run(serve(int(number), key, keys, dict(pair.split("=", 1) for pair in pairs)))
