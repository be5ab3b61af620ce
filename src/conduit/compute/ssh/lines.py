"""Connections to hosts and the ports that lead to them, shared by all of this process.

They live on an event loop of their own: an address that was handed out stays good when the loop that asked for it
is gone. A port here is opened once for each node; what connects to it goes over whatever connection the host has
then, so the address survives the loss of a connection.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from conduit.errors import AmbiguousAnswer, ProviderUnauthorized, ProviderUnavailable
from conduit.optional import require

if TYPE_CHECKING:
    import asyncssh

    from conduit.settings import SshHost

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 64 * 1024
_KEEPALIVE_S = 15
_CLOSE_S = 5.0
# OpenSSH's server refuses the eleventh session of a connection (MaxSessions), and one that has ended counts until
# the server has read that we closed it, too: half of the ten may be such. Ports do not count.
_SESSIONS = 5
_ASK_AGAIN_S = 0.05


class Line:
    """One host. Every method runs on the loop of ``home``."""

    def __init__(self, host: SshHost, known_hosts: Path | None, connect_s: float) -> None:
        """Connects to nothing yet.

        Args:
            host: Where to.
            known_hosts: File with its key; None for the user's own.
            connect_s: How long to wait for a connection.
        """
        self.users: set[int] = set()
        self._host = host
        self._known_hosts = known_hosts
        self._connect_s = connect_s
        self._connection: asyncssh.SSHClientConnection | None = None
        self._retired: list[asyncssh.SSHClientConnection] = []
        self._connecting = asyncio.Lock()
        self._sessions = asyncio.Semaphore(_SESSIONS)
        self._tunnels: dict[str, asyncio.Server] = {}
        self._carried: set[asyncio.Task[None]] = set()

    async def reach(self) -> asyncssh.SSHClientConnection:
        """The connection, made anew where it was lost.

        Raises:
            MissingDependency: asyncssh is not installed.
            ProviderUnavailable: The host's key is not known, or a key of ours cannot be read.
            ProviderUnauthorized: The host takes none of the keys.
            AmbiguousAnswer: It cannot be reached.
        """
        ssh = _asyncssh()
        options: dict[str, Any] = {} if self._known_hosts is None else {"known_hosts": str(self._known_hosts)}
        with self._told():
            # The wait for somebody else's attempt counts, or many would wait one after the other.
            async with asyncio.timeout(self._connect_s), self._connecting:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await ssh.connect(
                        **address(self._host.host),
                        **options,
                        preferred_auth="publickey",
                        keepalive_interval=_KEEPALIVE_S,
                    )
                return self._connection

    async def run(self, program: str, timeout_s: float) -> str:
        """Has the host's Python run a program and returns what it prints.

        Raises:
            ProviderUnavailable: There is no Python, or the program failed.
            AmbiguousAnswer: The connection was lost, or there was no answer in time.
        """
        ssh, connection = _asyncssh(), await self.reach()
        try:
            async with asyncio.timeout(timeout_s), self._sessions:
                done = await self._done(connection, program)
        except (ssh.Error, OSError, TimeoutError) as error:
            # What hangs now would hang the next request, too. What it carries for replicas may yet go on.
            self._retire(connection)
            raise AmbiguousAnswer(
                f"{self._host.host} did not answer: {_text(error) or f'nothing came in {timeout_s:.0f} s'}.",
                hint=f"See whether `ssh {self._host.host}` works.",
                provider="ssh",
            ) from error
        if done.exit_status:
            said = " ".join(str(done.stderr).split())[-300:]
            raise ProviderUnavailable(
                f"{self._host.python} on {self._host.host} ended with {done.exit_status}: {said or 'no output'}.",
                hint='Python 3.9 or later is needed there; name it in CONDUIT_SSH_HOSTS: {"host", "python"}.',
            )
        return str(done.stdout)

    async def _done(
        self, connection: asyncssh.SSHClientConnection, program: str
    ) -> asyncssh.SSHCompletedProcess:
        """What the program did; where the host refused it a session nothing has begun, so it is asked again."""
        ssh = _asyncssh()
        while True:
            try:
                return await connection.run(f"{self._host.python} -", input=program, check=False)
            except ssh.ChannelOpenError as error:
                if connection.is_closed() or error.code == ssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    raise
                await asyncio.sleep(_ASK_AGAIN_S)

    async def tunnel(self, node_id: str, port: int) -> int:
        """A port of this machine's loopback that leads to the port of the host's loopback."""
        server = self._tunnels.get(node_id)
        if server is None:
            server = await asyncio.start_server(partial(self._carry, port), "127.0.0.1", 0)
            self._tunnels[node_id] = server
        return int(server.sockets[0].getsockname()[1])

    async def close_tunnel(self, node_id: str) -> None:
        """Closes the node's port, if it has one."""
        if (server := self._tunnels.pop(node_id, None)) is not None:
            server.close()

    async def close(self) -> None:
        """Closes all ports and the connection."""
        for node_id in list(self._tunnels):
            await self.close_tunnel(node_id)
        for task in list(self._carried):
            task.cancel()
        if self._connection is not None:
            self._retire(self._connection)
        for connection in self._retired:
            connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                for connection in self._retired:
                    await connection.wait_closed()

    def _retire(self, connection: asyncssh.SSHClientConnection) -> None:
        """Has the next request make a new connection."""
        self._retired = [one for one in self._retired if not one.is_closed()]
        if self._connection is connection:
            self._connection = None
            self._retired.append(connection)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says in Conduit's errors why there is no connection."""
        ssh, where = _asyncssh(), self._host.host
        try:
            yield
        except ssh.HostKeyNotVerifiable as error:
            raise ProviderUnavailable(
                f"The key of {where} is not the one among the known hosts, or is not there: {_text(error)}.",
                hint=f"Compare and accept it with `ssh {where}`, or name a file in CONDUIT_SSH_KNOWN_HOSTS.",
            ) from error
        except ssh.PermissionDenied as error:
            raise ProviderUnauthorized(
                f"{where} takes no key of this user: {_text(error)}.",
                hint=f"See whether `ssh {where}` works without a password (`ssh-add`, `ssh-copy-id {where}`).",
                provider="ssh",
            ) from error
        except (ssh.KeyImportError, ssh.ConfigParseError, ValueError) as error:
            raise ProviderUnavailable(
                f"A key or a configuration of ssh on this machine cannot be read: {_text(error)}.",
                hint="Look at ~/.ssh/config, ~/.ssh/known_hosts and CONDUIT_SSH_KNOWN_HOSTS.",
            ) from error
        except (ssh.Error, OSError, TimeoutError) as error:
            raise AmbiguousAnswer(
                f"{where} cannot be reached: {_text(error) or f'no connection in {self._connect_s:.0f} s'}.",
                hint=f"See whether `ssh {where}` works; one that is gone for good leaves CONDUIT_SSH_HOSTS.",
                provider="ssh",
            ) from error

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection to the host and back until both sides have ended it."""
        ssh = _asyncssh()
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        far: asyncssh.SSHWriter[bytes] | None = None
        try:
            connection = await self.reach()
            async with asyncio.timeout(self._connect_s):
                far_reader, far = await connection.open_connection("127.0.0.1", port, encoding=None)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far))
                both.create_task(_pump(far_reader, writer))
        except* (ssh.Error, OSError, TimeoutError, ProviderUnavailable, AmbiguousAnswer) as errors:
            _LOG.debug("a connection to port %d of %s ended: %s", port, self._host.host, errors.exceptions)
            writer.transport.abort()
        finally:
            self._carried.discard(task)
            if far is not None:
                far.close()
            writer.close()


async def _pump(reader: Any, writer: Any) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _asyncssh() -> ModuleType:
    found: ModuleType = require("asyncssh", extra="ssh", user="compute_provider='ssh'")
    return found


def address(host: str) -> dict[str, Any]:
    """The parts of ``user@host:port`` that are there, as arguments; the rest is left to ssh's configuration."""
    user, _, place = host.rpartition("@")
    if place.startswith("["):
        name, _, port = place[1:].partition("]")
        port = port.lstrip(":")
    else:
        name, _, port = place.partition(":")
    found: dict[str, Any] = {"host": name}
    if user:
        found["username"] = user
    if port:
        found["port"] = int(port)
    return found


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")


class Home:
    """The loop of all lines, in a thread of its own that ends with the process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lines: dict[tuple[str, str, str], Line] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="conduit-ssh", daemon=True).start()

    async def do(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Runs ``function(*args)`` there; when the caller is cancelled, so is it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*args), self._loop))

    async def release(self, user: int) -> None:
        """Closes the lines that nobody else uses."""
        for key, line in list(self.lines.items()):
            line.users.discard(user)
            if not line.users:
                del self.lines[key]
                await line.close()

    async def _end(self) -> None:
        for line in self.lines.values():
            await line.close()

    def close(self) -> None:
        """Closes everything, at the end of the process."""
        if self.pid == os.getpid():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_CLOSE_S)


_lock = threading.Lock()
_home: Home | None = None


def home() -> Home:
    """This process's; a forked child gets one of its own."""
    global _home  # noqa: PLW0603 - one for each process
    with _lock:
        if _home is None or _home.pid != os.getpid():
            _home = Home()
            atexit.register(_home.close)
        return _home


async def line(user: int, host: SshHost, known_hosts: Path | None, connect_s: float) -> Line:
    """The line to a host; to be awaited on the loop of ``home``."""
    lines = home().lines
    key = (host.host, str(known_hosts), host.python)
    if key not in lines:
        lines[key] = Line(host, known_hosts, connect_s)
    lines[key].users.add(user)
    return lines[key]
