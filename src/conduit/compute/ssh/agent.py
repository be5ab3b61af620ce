"""What happens on the host: a program that is sent over the connection, does one thing and ends.

It stands alone: any Python from 3.9 on runs it from its standard input, and nothing of it is installed. A request
is one JSON value, the answer one line of JSON. Nodes are found by the tags in their processes' environment; their
folders (``~/.conduit/nodes/<node id>``) hold configuration, address and log, never a secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NODE_TAG, OWNER_TAG, FOLDER_TAG = "CONDUIT_NODE", "CONDUIT_OWNER", "CONDUIT_NODE_FOLDER"
GPUS_TAG = "CONDUIT_NODE_GPUS"
LOG_TAIL_BYTES = 64 * 1024
POLL_S = 0.05
LOCK_S = 20.0


class Refusal(Exception):
    """It cannot be done; the kind is the caller's to understand."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def nodes_folder() -> Path:
    """Where the nodes of this user lie."""
    return Path.home() / ".conduit" / "nodes"


def look(request: dict[str, Any]) -> Any:
    """The nodes of an owner: living ones, and with ``node_id`` that one also when it ended."""
    found: dict[str, Any] = {}
    for process in living(request["owner"], request.get("node_id")):
        found.setdefault(process["tags"][NODE_TAG], process)
    nodes = [describe(one["tags"], one["pid"], unix_seconds(one["began"])) for one in found.values()]
    if not nodes and request.get("node_id"):
        kept = read(nodes_folder() / request["node_id"] / "node.json")
        if kept is not None and kept["tags"].get(OWNER_TAG) == request["owner"]:
            nodes.append(describe(kept["tags"], None, kept["created_at"]))
    return nodes


def start(request: dict[str, Any]) -> Any:
    """Starts a server in a session of its own."""
    folder = nodes_folder() / request["tags"][NODE_TAG]
    command = [located(request["command"][0]), *request["command"][1:]]
    nodes_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lock():
        gpus = chosen(request["gpus"], request["gpu_count"])
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise Refusal("exists", f"{folder} exists") from None
        try:
            return run(request, folder, command, gpus)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def run(request: dict[str, Any], folder: Path, command: list[str], gpus: list[str]) -> Any:
    """Starts the node's process; the lock is held."""
    tags = {**request["tags"], FOLDER_TAG: str(folder), GPUS_TAG: ",".join(gpus)}
    config = {**request["config"], "host": "127.0.0.1", "port": 0, "announce": str(folder / "announce.json")}
    write(folder / "config.json", config)
    write(folder / "node.json", {"tags": tags, "created_at": time.time()})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONDUIT_")}
    environment.update(tags, **request["secrets"])
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    (folder / "log").touch(mode=0o600)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--config", str(folder / "config.json")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    process.returncode = 0  # it is meant to outlive this program, which would warn of it
    return describe(tags, process.pid, time.time())


def end(request: dict[str, Any]) -> Any:
    """Ends a node's processes; tells whether a last look found none."""
    own = (request["owner"], request["node_id"])
    found = living(*own)
    if found and request["term_wait_s"] > 0:
        send(found[:1], signal.SIGTERM)
        wait_until_gone(own, request["term_wait_s"])
    deadline = time.monotonic() + request["kill_wait_s"]
    while found := living(*own):
        send(found, signal.SIGKILL)
        wait_until_gone(own, 0.5)
        if time.monotonic() > deadline:
            return not living(*own)
    return True


def forget(request: dict[str, Any]) -> Any:
    """Removes the folder of an ended node."""
    if living(request["owner"], request["node_id"]):
        raise Refusal("lives", "a process of it lives")
    folder = nodes_folder() / request["node_id"]
    if mine(folder, request["owner"]):
        shutil.rmtree(folder)
    return True


def log(request: dict[str, Any]) -> Any:
    """The end of a node's log."""
    folder = nodes_folder() / request["node_id"]
    if not mine(folder, request["owner"]):
        return ""
    try:
        with (folder / "log").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def gpus(request: dict[str, Any]) -> Any:
    """What nvidia-smi prints, and the GPUs that nodes hold; no text where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return {"text": "", "taken": []}
    try:
        done = subprocess.run(
            ["nvidia-smi", *request["query"]], capture_output=True, text=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refusal("nvidia", "no answer in 10 s") from None
    if done.returncode:
        raise Refusal("nvidia", done.stdout + done.stderr)
    return {"text": done.stdout, "taken": sorted(taken())}


class Lock:
    """Keeps two nodes that start at once from choosing the same GPU; the kernel opens it when its holder dies."""

    def __enter__(self) -> None:
        self._file = (nodes_folder() / ".lock").open("w")
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    self._file.close()
                    raise Refusal("busy", f"another node has been starting for {LOCK_S:.0f} s") from None
                time.sleep(POLL_S)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._file.close()


def chosen(candidates: list[str], count: int) -> list[str]:
    """So many of the candidates as are asked for, that no node holds."""
    held = taken()
    free = [gpu for gpu in candidates if gpu not in held]
    if len(free) < count:
        raise Refusal("full", f"of its {len(candidates)} GPUs {len(free)} are not held by another node")
    return free[:count]


def taken() -> set[str]:
    """The GPUs that living nodes of this user hold, no matter whose."""
    return {gpu for process in tagged() for gpu in process["tags"].get(GPUS_TAG, "").split(",") if gpu}


def living(owner: str, node_id: str | None = None) -> list[dict[str, Any]]:
    """The living processes of an owner's nodes, oldest first."""
    return [
        process
        for process in tagged()
        if process["tags"].get(OWNER_TAG) == owner and node_id in (None, process["tags"][NODE_TAG])
    ]


def tagged() -> list[dict[str, Any]]:
    """All living processes of this program's nodes, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        began = start_ticks(pid)
        tags = tags_of(entry)
        # The folder's tag is this program's alone: a container's processes carry the others.
        if began is not None and NODE_TAG in tags and FOLDER_TAG in tags and start_ticks(pid) == began:
            found.append({"pid": pid, "began": began, "tags": tags})
    return sorted(found, key=lambda process: (process["began"], process["pid"]))


def tags_of(entry: Path) -> dict[str, str]:
    """The variables of a process that begin as tags do; none when it is gone or another user's."""
    try:
        variables = (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (variable.decode(errors="replace").partition("=") for variable in variables)
    return {name: value for name, _, value in pairs if name.startswith("CONDUIT_")}


def start_ticks(pid: int) -> int | None:
    """When a process was started, in ticks since boot; None when it is gone, or a remnant that nobody reaped."""
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name stands in brackets and may hold anything; field 3 is the state, field 22 the start in ticks.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def unix_seconds(ticks: int) -> float:
    """The time of that tick, to a second or so: clocks are set, so no process is known again by it."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def send(found: list[dict[str, Any]], number: int) -> None:
    """Signals those very processes: never another one that got the number later."""
    for process in found:
        try:
            handle = os.pidfd_open(process["pid"])
        except OSError:
            continue  # it ended first
        try:
            if start_ticks(process["pid"]) == process["began"]:
                signal.pidfd_send_signal(handle, number)
        except OSError:
            continue
        finally:
            os.close(handle)


def wait_until_gone(own: tuple[str, str], seconds: float) -> None:
    """Waits that long at most."""
    deadline = time.monotonic() + seconds
    while living(*own) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def describe(tags: dict[str, str], pid: int | None, created_at: float) -> Any:
    """A node as the caller gets it."""
    folder = nodes_folder() / tags[NODE_TAG]
    announced = read(folder / "announce.json") if pid is not None else None
    return {
        "tags": {name: value for name, value in tags.items() if name != FOLDER_TAG},
        "folder": str(folder),
        "pid": pid,
        "created_at": created_at,
        "port": None if announced is None else announced.get("port"),
    }


def mine(folder: Path, owner: str) -> bool:
    """Whether the folder is of that owner's node."""
    kept = read(folder / "node.json")
    return kept is not None and kept["tags"].get(OWNER_TAG) == owner


def located(program: str) -> str:
    """Where the server's program is; ssh's own path is short, and pip installs for one user beside it."""
    places = [os.environ.get("PATH", os.defpath), str(Path.home() / ".local" / "bin")]
    found = shutil.which(str(Path(program).expanduser()), path=os.pathsep.join(places))
    if found is None:
        raise Refusal("program", program)
    return found


def write(path: Path, value: Any) -> None:
    """Writes JSON that only this user can read."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(value))


def read(path: Path) -> Any:
    """The JSON object in a file; None when there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


ACTIONS = {"look": look, "start": start, "end": end, "forget": forget, "log": log, "gpus": gpus}


def main(request: dict[str, Any]) -> None:
    """Does what is asked and prints the answer."""
    answer: dict[str, Any]
    try:
        answer = {"done": ACTIONS[request["action"]](request)}
    except Refusal as refusal:
        answer = {"refused": refusal.kind, "text": str(refusal)}
    except OSError as error:
        # Where there is no /proc, as on macOS, this says so.
        answer = {"refused": "system", "text": f"{error.filename or ''} {error.strerror or error}".strip()}
    sys.stdout.write(json.dumps(answer) + "\n")
