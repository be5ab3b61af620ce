"""The doctor's checks, one function each: they look, and change nothing but a file that they remove again."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import anyio
import httpx
import psutil

from conduit.cli.prefect_server import configured_server
from conduit.cli.versions import NEEDED, found_version
from conduit.compute.runpod import Api
from conduit.errors import ConduitError, ModelNotFound
from conduit.lmlite import ModelConfig
from conduit.lmlite.nodes.model_files import TINY, locate
from conduit.settings import Settings, variable_set
from conduit.store import open_store

DEMO_BYTES = 1_500_000_000
PREFECT_PORT = 4200
_INSTALL_LOCAL = "pip install 'conduit-dataflow[local]'"


class Outcome(StrEnum):
    """How a check ended; a note is nothing that must be mended."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """What was found, and what to do about it."""

    name: str
    outcome: Outcome
    found: str
    remedy: str | None = None


@dataclass(frozen=True)
class SettingValue:
    """A setting as it counts, and where it came from."""

    name: str
    value: str
    source: str


def failed(name: str, error: ConduitError) -> Check:
    """A check that ended with an error of ours."""
    return Check(name, Outcome.FAILED, error.message, error.hint)


def of_installation() -> list[Check]:
    """Checks that need no settings."""
    return [python(), *packages(), local_engine(), tiny_model()]


def of_machine(settings: Settings) -> list[Check]:
    """Checks of what this process may and can use."""
    return [
        data_folder(settings),
        records(settings),
        memory(),
        prefect_server(),
        prefect_port(),
        runpod(settings),
    ]


def python() -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 14):
        return Check("Python", Outcome.OK, f"{found}, {sys.executable}")
    return Check("Python", Outcome.FAILED, found, "Install Python 3.11, 3.12 or 3.13.")


def packages() -> Iterator[Check]:
    """Prefect and the FastAPI that it runs on: a pair that does not fit fails only when a flow runs."""
    for name, bounds in NEEDED.items():
        found = found_version(name)
        if found is not None and bounds.fit(found):
            yield Check(name, Outcome.OK, f"{found} ({bounds} is needed)")
        else:
            what = f"{found or 'not installed'}, but {bounds} is needed"
            yield Check(name, Outcome.FAILED, what, f"pip install '{name}{bounds}'")


def local_engine() -> Check:
    """The server and the engine that run models on this machine."""
    missing = [name for name in ("conduit-gpu-server", "mistralrs") if found_version(name) is None]
    if missing:
        return Check("local models", Outcome.FAILED, f"{', '.join(missing)} not installed", _INSTALL_LOCAL)
    versions = [f"{name} {found_version(name)}" for name in ("conduit-gpu-server", "mistralrs")]
    return Check("local models", Outcome.OK, ", ".join(versions))


def tiny_model() -> Check:
    """The model that ships with the package."""
    try:
        files = locate(ModelConfig(TINY))
    except ModelNotFound as error:
        return failed(TINY, error)
    return Check(TINY, Outcome.OK, f"{files.checkpoint_bytes() / 1e6:.1f} MB in {files.path}")


def data_folder(settings: Settings) -> Check:
    """Whether the data folder can be made and written."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"conduit")
    except OSError as error:
        remedy = "Set CONDUIT_DATA_DIR to a folder that you may write to."
        return Check("data folder", Outcome.FAILED, f"{folder}: {error.strerror}", remedy)
    return Check("data folder", Outcome.OK, f"{folder} can be written")


def records(settings: Settings) -> Check:
    """Whether the database of deployments and calls opens."""
    try:
        count = len(open_store(settings).deployments())
    except ConduitError as error:
        return failed("records", error)
    return Check("records", Outcome.OK, f"the database opens; {count} deployments are on record")


def memory() -> Check:
    """Whether the demo's server and replicas fit."""
    available = psutil.virtual_memory().available
    found = f"{available / 2**30:.1f} GiB available"
    if available >= DEMO_BYTES:
        return Check("memory", Outcome.OK, found)
    need = f"The demo takes about {DEMO_BYTES / 2**30:.1f} GiB: end other programs first."
    return Check("memory", Outcome.NOTE, found, need)


def prefect_server() -> Check:
    """The Prefect server that is configured, if one is."""
    try:
        url = configured_server()
    except ConduitError as error:
        return failed("Prefect server", error)
    if url is None:
        remedy = (
            "`conduit demo` brings its own; for your flows: `prefect server start`, and set PREFECT_API_URL."
        )
        return Check("Prefect server", Outcome.NOTE, "none is configured", remedy)
    return Check("Prefect server", Outcome.OK, f"{url} answers")


def prefect_port() -> Check:
    """Who has the port that `prefect server start` takes."""
    name = f"port {PREFECT_PORT}"
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", PREFECT_PORT)) != 0:
            return Check(name, Outcome.OK, "free, for `prefect server start`")
    try:
        healthy = httpx.get(f"http://127.0.0.1:{PREFECT_PORT}/api/health", timeout=3.0).json() is True
    except (httpx.HTTPError, ValueError):
        healthy = False
    if healthy:
        return Check(name, Outcome.OK, "a Prefect server listens")
    remedy = "Give `prefect server start --port` another one; `conduit demo` finds a free port by itself."
    return Check(name, Outcome.NOTE, "another program listens", remedy)


def runpod(settings: Settings) -> Check:
    """Whether the key of the RunPod account is valid; nothing is asked where there is none."""
    variable = variable_set("runpod_api_key")
    if settings.runpod_api_key is None:
        remedy = "To rent GPUs there, set CONDUIT_RUNPOD_API_KEY (or RUNPOD_API_KEY)."
        return Check("RunPod", Outcome.NOTE, "no key is set", remedy)
    try:
        types = anyio.run(Api.from_settings(settings).items, "/v2/catalog/gpus", "gpus")
    except ConduitError as error:
        return failed("RunPod", error)
    found = f"{settings.runpod_base_url} takes the key in {variable}; it has {len(types)} GPU types"
    return Check("RunPod", Outcome.OK, found)


def setting_values(settings: Settings | None) -> list[SettingValue]:
    """Every setting; where they do not parse, those that the environment gives."""
    values = []
    for name, info in Settings.model_fields.items():
        variable = variable_set(name)
        source = f"environment variable {variable}" if variable else "default"
        if settings is not None:
            shown = getattr(settings, name)
        elif variable is not None and "Secret" not in str(info.annotation):
            shown = re.sub("//[^/]*@", "//***@", os.environ[variable])  # an address may hold a password
        else:
            shown = None
        values.append(SettingValue(name, "-" if shown is None else str(shown), source))
    return values
