"""Conduit's settings: one class, read once at the edge and passed down as values.

Each comes from an environment variable ``CONDUIT_<NAME>``, or has the default given here. A few are also read from
the variable that others use for the same thing (``variables`` lists them); Conduit's own wins. An empty variable
counts as unset.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from conduit.errors import ConduitError

_LAST_PORT = 65535
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLACES = {"runpod_proxy_url": ("pod_id", "port"), "runpod_serverless_url": ("endpoint_id",)}


class SshHost(BaseModel):
    """A machine that is reached over ssh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        # A password has no place in it, and a name that begins with a dash would be an option of other programs.
        pattern=r"^([A-Za-z0-9_][\w.-]*@)?([A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.]+\])(:[1-9]\d{0,4})?$",
        description="`user@host:port`, or a name of the user's ssh configuration.",
    )
    gpus: int | None = Field(
        default=None, ge=0, description="How many of its GPUs are Conduit's; default: all."
    )
    server: tuple[str, ...] = Field(
        default=("conduit-gpu-server",), min_length=1, description="Command that starts the server there."
    )
    python: str = Field(
        default="python3", pattern=r"^[\w./-]+$", description="A Python there, of version 3.9 or later."
    )

    @field_validator("host")
    @classmethod
    def _port_exists(cls, value: str) -> str:
        port = re.search(r":(\d+)$", value)
        if port and int(port[1]) > _LAST_PORT:
            raise ValueError(f"there is no port {port[1]}: the last one is {_LAST_PORT}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"host": value} if isinstance(value, str) else value


class Settings(BaseSettings):
    """What a user may set from outside the code."""

    model_config = SettingsConfigDict(
        env_prefix="CONDUIT_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("conduit", appauthor=False)),
        description="Folder of Conduit's records, node folders and logs.",
    )
    db_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the records; default: SQLite in the data folder."
    )
    project: str = Field(
        default_factory=lambda: str(_project_root(Path.cwd())),
        description="Whose deployments `gc` may remove; default: the enclosing git repository or folder.",
    )
    startup_timeout_s: float = Field(
        default=600.0, gt=0, description="How long a deployment may take until all replicas are ready."
    )
    request_timeout_s: float = Field(default=300.0, gt=0, description="Deadline of one model request.")
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file; with the key, local replicas speak HTTPS only and callers pin it.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file of that certificate's private key.")
    run_log: bool = Field(
        default=True, description="Keep one row for each flow run, block call and model call in the records."
    )
    run_log_days: float = Field(default=30.0, ge=0, description="How long those rows stay; 0 for ever.")
    run_log_values: bool = Field(
        default=False, description="Keep inputs, output and messages of errors with each block call."
    )
    run_log_redact: tuple[str, ...] = Field(
        default=(),
        description="JSON list of regular expressions: fields so named, and what matches in texts, are not kept.",
    )
    cache_max_bytes: int = Field(
        default=1 << 30, gt=0, description="How large the cache of results may grow; the least used go first."
    )
    cache_ttl_s: float | None = Field(
        default=None, gt=0, description="How old a kept result may be that is used; default: any age."
    )
    progress: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether maps show a bar on stderr: where it is a terminal, always, never.",
    )
    cassettes: Literal["auto", "record", "replay"] = Field(
        default="auto",
        description="What `conduit.testing.cassette` does unless told: record what is missing, all, or nothing.",
    )
    budget_usd: float | None = Field(
        default=None, gt=0, description="Most that all living nodes of this data folder's owner may cost."
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict,
        description="JSON object: model id that programs name to the model that is loaded in its place.",
    )
    hf_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CONDUIT_HF_TOKEN", "HF_TOKEN"),
        description="Token for gated models of the Hugging Face hub; handed to rented nodes.",
    )
    runpod_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CONDUIT_RUNPOD_API_KEY", "RUNPOD_API_KEY"),
        description="Key of the RunPod account.",
    )
    runpod_base_url: str = Field(
        default="https://api.runpod.io",
        validation_alias=AliasChoices("CONDUIT_RUNPOD_BASE_URL", "RUNPOD_API_BASE_URL"),
        description="Where RunPod's REST API is.",
    )
    runpod_proxy_url: str = Field(
        default="https://{pod_id}-{port}.proxy.runpod.net",
        description="Where a port of a pod is reached; `{pod_id}` and `{port}` are filled in.",
    )
    runpod_serverless_url: str = Field(
        default="https://api.runpod.ai/v2/{endpoint_id}/openai",
        description="Where the OpenAI routes of a serverless endpoint are; `{endpoint_id}` is filled in.",
    )
    runpod_image: str | None = Field(
        default=None, min_length=1, description="Container image of the server, built and pushed by you."
    )
    runpod_serverless_image: str | None = Field(
        default=None,
        min_length=1,
        description="Container image of the worker of serverless endpoints, built and pushed by you.",
    )
    runpod_volume: str | None = Field(
        default=None, description="Id of the network volume on which RunPod's nodes keep their weights."
    )
    runpod_disk_gb: int = Field(
        default=100,
        ge=1,
        description="Disk of a RunPod node in GB; weights lie there when there is no volume.",
    )
    runpod_min_cuda: str | None = Field(
        default="13.0",
        pattern=r"^\d+\.\d+$",
        description="Least CUDA version that the driver of a RunPod machine must run, for the image's engine.",
    )
    runpod_timeout_s: float = Field(
        default=30.0, gt=0, description="Deadline of one request to RunPod's API."
    )
    runpod_settle_s: float = Field(
        default=60.0, ge=0, description="For how long a pod may turn up after RunPod gave no clear answer."
    )
    runpod_absent_gap_s: float = Field(
        default=10.0, ge=0, description="How far apart RunPod must say twice that a pod is gone."
    )

    docker_host: str | None = Field(
        default=None,
        validation_alias=AliasChoices("CONDUIT_DOCKER_HOST", "DOCKER_HOST"),
        description="Address of the Docker Engine; default: its usual socket on this machine.",
    )
    docker_image: str | None = Field(
        default=None,
        description="Container image of the server for Docker; default: the one built as `conduit-gpu-server`.",
    )
    ssh_hosts: tuple[SshHost, ...] = Field(
        default=(),
        description='JSON list of machines for ssh: `"user@host:port"`, or an object with more.',
    )
    ssh_known_hosts: Path | None = Field(
        default=None, description="File with the host keys of those machines; default: `~/.ssh/known_hosts`."
    )

    @field_validator("run_log_redact")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return value

    @field_validator("data_dir", "tls_certificate", "tls_key", "ssh_known_hosts")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("hf_token", "runpod_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        secret = "" if value is None else value.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]*", secret):
            raise ValueError("a key is printable ASCII without spaces, and this is not")
        return SecretStr(secret) if secret else None

    @field_validator("runpod_base_url", *_PLACES)
    @classmethod
    def _url(cls, value: str, info: ValidationInfo) -> str:
        places = _PLACES.get(info.field_name or "", ())
        if sorted(re.findall(r"{([^{}]*)}", value)) != sorted(places):
            wanted = " and ".join(f"{{{place}}}" for place in places) or "no {place}"
            raise ValueError(f"the address must hold {wanted} to be filled in")
        try:
            url = urlsplit(value.format_map(dict.fromkeys(places, "0")))
            host, _port = url.hostname, url.port
            secret = url.username or url.password or url.query or url.fragment
        except ValueError:
            host, secret = None, None
        if not host or secret or url.scheme not in ("http", "https"):
            raise ValueError("it must be an http(s) address without user, password, query and fragment")
        if url.scheme == "http" and host not in _LOOPBACK:
            raise ValueError(
                "plain http would show the key to the network: only https, or a loopback address"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        files = {"CONDUIT_TLS_CERTIFICATE": self.tls_certificate, "CONDUIT_TLS_KEY": self.tls_key}
        if None in files.values() and any(files.values()):
            missing = next(name for name, path in files.items() if path is None)
            raise ValueError(f"HTTPS needs a certificate and its key: {missing} is not set")
        for name, path in files.items():
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: there is no file {path}")
        return self

    @property
    def database_url(self) -> str:
        """URL of the records' database."""
        return self.db_url.get_secret_value() if self.db_url else f"sqlite:///{self.data_dir / 'conduit.db'}"


def variables(name: str) -> tuple[str, ...]:
    """The environment variables that a setting is read from; the first that is set wins."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (f"CONDUIT_{name.upper()}",)


def variable_set(name: str) -> str | None:
    """The environment variable that a setting comes from, as it is spelled there; None for the default."""
    given = {v.upper(): v for v, value in os.environ.items() if value}
    return next((given[variable] for variable in variables(name) if variable in given), None)


def load() -> Settings:
    """Reads the settings from the environment.

    Raises:
        ConduitError: A variable does not parse.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [
            ": ".join(filter(None, (_variable(e["loc"]), e["msg"].removeprefix("Value error, "))))
            for e in error.errors(include_input=False, include_url=False)
        ]
        raise _unreadable(faults) from error
    except SettingsError as error:
        # Raised for what should be JSON and is not; its text names the field and shows no value.
        named = [name for name in Settings.model_fields if f'"{name}"' in str(error)]
        raise _unreadable([f"{', '.join(variables(name)[0] for name in named)}: this is no JSON"]) from error


def _variable(loc: tuple[int | str, ...]) -> str:
    """What to correct, as the user knows it; a fault's place is told by field or by its first variable."""
    head, rest = (str(loc[0]), loc[1:]) if loc else ("", ())
    name = next((n for n in Settings.model_fields if head in (n, *variables(n))), None)
    return ".".join([(variable_set(name) or variables(name)[0]) if name else head, *map(str, rest)])


def _unreadable(faults: list[str]) -> ConduitError:
    return ConduitError(
        "Settings do not parse: " + "; ".join(faults),
        hint="Correct or unset the variables; `conduit doctor` shows where each value comes from.",
    )


def _project_root(folder: Path) -> Path:
    return next((f for f in (folder, *folder.parents) if (f / ".git").exists()), folder)
