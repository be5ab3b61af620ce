"""Conduit's settings: one class, read once at the edge and passed down as values.

Each comes from an environment variable ``CONDUIT_<NAME>``, or has the default given here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from conduit.errors import ConduitError


class Settings(BaseSettings):
    """What a user may set from outside the code."""

    model_config = SettingsConfigDict(env_prefix="CONDUIT_", frozen=True, extra="ignore")

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
    run_log: bool = Field(default=True, description="Keep one row for each model call in the records.")

    @field_validator("data_dir", "tls_certificate", "tls_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

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


def load() -> Settings:
    """Reads the settings from the environment.

    Raises:
        ConduitError: A variable does not parse.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            ": ".join(
                filter(
                    None, (f"CONDUIT_{'.'.join(map(str, e['loc'])).upper()}" if e["loc"] else "", e["msg"])
                )
            )
            for e in error.errors(include_input=False)
        ]
        raise ConduitError(
            "Settings do not parse: " + "; ".join(lines),
            hint="Correct or unset the variables; `conduit doctor` shows where each value comes from.",
        ) from error


def _project_root(folder: Path) -> Path:
    return next((f for f in (folder, *folder.parents) if (f / ".git").exists()), folder)
