"""Peers run in environments of the benchmarks' own: exact versions, none of them in uv.lock.

A benchmark that imports Conduit and peers alike calls ``in_peer_environment()`` first. On the first call the
environment is made under ``.artifacts``; then, and whenever the running Python is another one, the script starts
again in it, with Conduit's sources on the path. A peer that runs as a process gets an environment of its own from
``made()``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock

ROOT: Final = Path(__file__).resolve().parents[1]
_PINS: Final = ROOT / "bench" / "peers" / "requirements.txt"
_FILES: Final = ROOT / "bench" / "peers" / "files.txt"
_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class NotInstalledError(Exception):
    """An environment could not be made. The text is the installer's."""


def in_peer_environment() -> None:
    """Returns at once within the peers' environment; elsewhere it makes that and starts the script again in it."""
    environment = environment_of("peers", _PINS, _FILES)
    if Path(sys.prefix) == environment:
        return
    try:
        python = made(environment, ["-r", str(_PINS)], ["--no-deps", "-r", str(_FILES)])
    except NotInstalledError as error:
        sys.exit(
            f"The peers that this benchmark compares with could not be installed.\n{error}\n"
            "Hint: it needs uv (`make setup` gets it) and, this first time, the network or uv's cache."
        )
    paths = [str(ROOT / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    sys.stdout.flush()
    os.execve(
        python,
        [str(python), *sys.argv],
        {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "VIRTUAL_ENV": str(environment)},
    )


def environment_of(name: str, *pins: Path) -> Path:
    """Where the environment of these pins is; other pins, or another Python, have another one."""
    key = b"".join(path.read_bytes() for path in pins) + sys.version.encode()
    return ROOT / ".artifacts" / f"{name}-{hashlib.sha256(key).hexdigest()[:12]}"


def made(environment: Path, *installs: Sequence[str]) -> Path:
    """The Python of an environment, made now if need be.

    Args:
        environment: Its folder.
        installs: The arguments of each `uv pip install` that fills it.

    Raises:
        NotInstalledError: uv is missing, or could not do it.
    """
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "complete").exists():
            print(f"Installing the peers into {environment.relative_to(ROOT)} (once)", file=sys.stderr)
            shutil.rmtree(environment, ignore_errors=True)
            _uv("venv", "--python", sys.executable, str(environment))
            for arguments in installs:
                _uv("pip", "install", "--python", str(python), *arguments)
            (environment / "complete").touch()
    return python


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    system = any(Path(path).exists() for path in _CERTIFICATES)
    variables = {"UV_SYSTEM_CERTS": str(system).lower(), **os.environ}
    try:
        subprocess.run(
            [uv, "--quiet", *arguments],
            check=True,
            env=variables,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise NotInstalledError(str(error)) from error
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(error.stderr.strip() or str(error)) from error
