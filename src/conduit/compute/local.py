"""The local provider: a node is a gpu_server process of this machine, with a folder for log and address.

The folder (``<data folder>/nodes/<node id>``) is convenience: a node is found by the tags in its environment,
also when the folder is lost. No secret is in it.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import psutil

from conduit.compute import environment, processes
from conduit.compute.base import (
    Caps,
    ComputeProvider,
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
    check_node_id,
)
from conduit.errors import MissingDependency, NodeFailed, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from conduit.compute.owner import Owner
    from conduit.settings import Settings

_LOG = logging.getLogger(__name__)
_LOG_TAIL_BYTES = 64 * 1024
_CERTIFICATE = "certificate.pem"
_INSTALL = "pip install 'conduit-dataflow[local]'"

# What only the process that created a node knows of it; process-wide, since providers come and go.
_started: dict[str, psutil.Process] = {}
_exit_codes: dict[str, int] = {}


class LocalProvider:
    """Nodes as processes of this machine."""

    kind = ComputeProvider.LOCAL
    caps = Caps(this_machine=True, gpus=False)

    def __init__(
        self,
        data_dir: Path,
        owner: Owner,
        *,
        server: Sequence[str] | None = None,
        term_wait_s: float = 10.0,
        kill_wait_s: float = 5.0,
    ) -> None:
        """Touches nothing yet.

        Args:
            data_dir: Conduit's data folder.
            owner: Whose nodes these are.
            server: Command that is given ``--config FILE``; None is this environment's gpu_server.
            term_wait_s: How long a node may take to end when told to, before it is killed.
            kill_wait_s: How long a killed node may take to be gone.
        """
        self._home = data_dir.absolute()
        self._nodes = self._home / "nodes"
        self._owner = owner
        self._server = server
        self._term_wait_s = term_wait_s
        self._kill_wait_s = kill_wait_s

    @classmethod
    def from_settings(cls, settings: Settings, owner: Owner) -> LocalProvider:
        """The provider of these settings' data folder."""
        return cls(settings.data_dir, owner)

    async def create(self, spec: NodeSpec) -> NodeView:
        """Starts a server process and returns without waiting for it to listen.

        Raises:
            MissingDependency: gpu_server or its engine is not installed.
            NodeFailed: The node exists already, or its process could not be started.
            StoreUnavailable: The node's folder cannot be written.
        """
        return await anyio.to_thread.run_sync(self._create, spec)

    async def list_owned(self, owner: str) -> list[NodeView]:
        """The living nodes of that owner, and those that this data folder started before it lost its key."""
        return await anyio.to_thread.run_sync(self._list_owned, owner)

    async def offerings(self, _query: OfferingQuery, /) -> list[Offering]:
        """None: there is but this machine."""
        return []

    async def get(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended; None when neither process nor folder is left."""
        check_node_id(node_id)
        return await anyio.to_thread.run_sync(self._get, node_id)

    async def destroy(
        self, node_id: str, _handle: Mapping[str, Any] | None = None, /, *, at_once: bool = False
    ) -> None:
        """Ends the node's processes and returns when they are gone. Its folder stays, for the log.

        Args:
            node_id: Which.
            at_once: Without time to end by itself, which a stopped or hung process would not use.

        Raises:
            NodeFailed: A process survived SIGKILL.
        """
        check_node_id(node_id)
        # A thread is waited for even when the caller is cancelled: left half-way, destroy would leave a node
        # that was told to end and never killed. The wait is bounded.
        term_wait_s = 0.0 if at_once else self._term_wait_s
        gone = await anyio.to_thread.run_sync(
            partial(
                processes.end,
                partial(self._find, node_id),
                term_wait_s=term_wait_s,
                kill_wait_s=self._kill_wait_s,
            )
        )
        if not gone:
            waited_s = term_wait_s + self._kill_wait_s
            raise NodeFailed(
                f"Node {node_id} still lives {waited_s:.0f} s after it was told to end.",
                hint="Try `conduit down` again: it may wait for a device or a disk.",
                node_id=node_id,
            )

    async def forget(self, node_id: str) -> None:
        """Removes the folder of an ended node.

        Raises:
            NodeFailed: The node still lives.
            StoreUnavailable: The folder cannot be removed.
        """
        check_node_id(node_id)
        await anyio.to_thread.run_sync(self._forget, node_id)

    async def endpoint(self, view: NodeView, _port: int, /) -> str | None:
        """Where the node's server listens, once it has announced the port that the kernel chose."""
        if not view.alive:
            return None
        announced = await anyio.to_thread.run_sync(self._announced, view.node_id)
        scheme = "http" if view.certificate is None else "https"
        return None if announced is None else f"{scheme}://{announced['host']}:{announced['port']}"

    async def logs(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> str:
        """The end of what the node's processes wrote to their output."""
        check_node_id(node_id)
        return await anyio.to_thread.run_sync(self._log_tail, node_id)

    async def billed_usd(self, _node_id: str, _handle: Mapping[str, Any] | None = None, /) -> float | None:
        """Nothing: it costs nothing."""
        return 0.0

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _create(self, spec: NodeSpec) -> NodeView:
        if self._server is None:
            _check_installed(spec.config)
        folder = self._nodes / spec.node_id
        with _folder_errors(folder):
            self._nodes.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError as error:
                raise NodeFailed(
                    f"Node {spec.node_id} was created before: {folder} exists.",
                    hint="Make a new node id for each node.",
                    node_id=spec.node_id,
                ) from error
        try:
            with _folder_errors(folder):
                return self._start(spec, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _start(self, spec: NodeSpec, folder: Path) -> NodeView:
        config_file = folder / "config.json"
        own: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "announce": str(folder / "announce.json")}
        if (certificate := spec.config.get("tls_certificate")) is not None:
            # A copy: callers go on to know this node's certificate when the file has been renewed.
            own["tls_certificate"] = str(shutil.copyfile(certificate, folder / _CERTIFICATE))
        _write(config_file, {**spec.config, **own})
        tags = {**environment.tags(spec), processes.HOME_TAG: str(self._home)}
        _write(folder / "node.json", {"tags": tags, "created_at": time.time()})
        command = [*(self._server or (sys.executable, "-m", "gpu_server")), "--config", str(config_file)]
        log_file = folder / "log"
        log_file.touch(mode=0o600)
        with log_file.open("ab") as log:
            try:
                process = processes.start(
                    command,
                    tags=tags,
                    secrets=environment.secrets(self._owner, spec),
                    folder=folder,
                    log=log,
                    on_exit=partial(_note_exit, spec.node_id),
                )
            except OSError as error:
                raise NodeFailed(
                    f"Node {spec.node_id} could not be started: {command[0]}: {error.strerror or error}.",
                    hint="`conduit doctor` shows whether this environment is whole.",
                    node_id=spec.node_id,
                ) from error
        if spec.node_id not in _exit_codes:
            _started[spec.node_id] = process
        _LOG.debug("node %s started as process %d", spec.node_id, process.pid)
        return self._view(tags, process, time.time())

    def _list_owned(self, owner: str) -> list[NodeView]:
        nodes = processes.find(lambda process, tags: self._owns(process, tags, owner))
        return [self._living(node) for node in nodes]

    def _get(self, node_id: str) -> NodeView | None:
        kept = self._kept(node_id)
        process = _started.get(node_id)
        if kept is not None and process is not None and processes.is_alive(process):
            return self._view(kept["tags"], process, kept["created_at"])
        node = self._find(node_id)
        if node is not None:
            return self._living(node)
        return None if kept is None else self._view(kept["tags"], None, kept["created_at"])

    def _find(self, node_id: str) -> processes.NodeProcesses | None:
        def wanted(process: psutil.Process, tags: Mapping[str, str]) -> bool:
            return tags[processes.NODE_TAG] == node_id and self._owns(process, tags, self._owner.id)

        return next(iter(processes.find(wanted)), None)

    def _owns(self, process: psutil.Process, tags: Mapping[str, str], owner: str) -> bool:
        if processes.HOME_TAG not in tags:
            return False  # of a container, or of a simulated pod: not a process that this provider started
        if tags.get(processes.OWNER_TAG) == owner:
            return True
        # The second way to own one is for the day when the data folder is lost, and its owner's key.
        is_home = owner == self._owner.id and tags.get(processes.HOME_TAG) == str(self._home)
        return is_home and processes.shares_files(process)

    def _living(self, node: processes.NodeProcesses) -> NodeView:
        try:
            created_at = float(node.root.create_time())
        except psutil.Error:
            created_at = time.time()
        return self._view(node.tags, node.root, created_at)

    def _view(self, tags: Mapping[str, str], process: psutil.Process | None, created_at: float) -> NodeView:
        node_id = tags[processes.NODE_TAG]
        status = NodeStatus.EXITED
        handle: dict[str, Any] = {"folder": str(self._nodes / node_id)}
        if process is not None:
            status = NodeStatus.STARTING if self._announced(node_id) is None else NodeStatus.RUNNING
            handle["pid"] = process.pid
            handle["started_at"] = created_at
        log = self._nodes / node_id / "log"
        return NodeView(
            node_id=node_id,
            owner=tags.get(processes.OWNER_TAG, ""),
            provider=self.kind,
            status=status,
            deployment_key=tags.get(processes.DEPLOYMENT_TAG),
            project=tags.get(processes.PROJECT_TAG),
            created_at=created_at,
            handle=handle,
            log=str(log) if log.exists() else None,
            exit_code=None if process is not None else _exit_codes.get(node_id),
            certificate=_text(self._nodes / node_id / _CERTIFICATE),
        )

    def _kept(self, node_id: str) -> dict[str, Any] | None:
        return _read(self._nodes / node_id / "node.json")

    def _announced(self, node_id: str) -> dict[str, Any] | None:
        return _read(self._nodes / node_id / "announce.json")

    def _forget(self, node_id: str) -> None:
        if self._find(node_id) is not None:
            raise NodeFailed(
                f"Node {node_id} still lives, so its folder stays.", hint="Destroy it first.", node_id=node_id
            )
        folder = self._nodes / node_id
        with _folder_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
        _exit_codes.pop(node_id, None)

    def _log_tail(self, node_id: str) -> str:
        try:
            with (self._nodes / node_id / "log").open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(0, size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""


def _note_exit(node_id: str, code: int) -> None:
    _exit_codes[node_id] = code
    _started.pop(node_id, None)


def _check_installed(config: Mapping[str, Any]) -> None:
    needed = ["gpu_server"]
    if any(model.get("engine", "mistralrs") == "mistralrs" for model in config.get("models", ())):
        needed.append("mistralrs")
    for package in needed:
        if find_spec(package) is None:
            raise MissingDependency(
                f"ComputeProvider.LOCAL needs the package {package}, which is not installed.",
                hint=_INSTALL,
                package=package,
            )


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, indent=1))


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(_text(path) or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"The node folder {folder} cannot be used: {error.strerror or error}.",
            hint="Set CONDUIT_DATA_DIR to a folder that you can write to.",
            path=str(folder),
        ) from error
