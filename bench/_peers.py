"""Peers run in an environment of the benchmarks' own: exact versions, none of them in uv.lock.

A benchmark calls ``in_peer_environment()`` first. On the first call the environment is made under ``.artifacts``;
then, and whenever the running Python is another one, the script starts again in it, with Conduit's sources on the
path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from filelock import FileLock

ROOT: Final = Path(__file__).resolve().parents[1]
_PINS: Final = ROOT / "bench" / "peers" / "requirements.txt"
_FILES: Final = ROOT / "bench" / "peers" / "files.txt"
_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def in_peer_environment() -> None:
    """Returns at once within the peers' environment; elsewhere it makes that and starts the script again in it."""
    pins = _PINS.read_bytes() + _FILES.read_bytes() + sys.version.encode()
    environment = ROOT / ".artifacts" / f"peers-{hashlib.sha256(pins).hexdigest()[:12]}"
    if Path(sys.prefix) == environment:
        return
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "complete").exists():
            _make(environment)
    python = _python(environment)
    paths = [str(ROOT / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    sys.stdout.flush()
    os.execve(
        python,
        [str(python), *sys.argv],
        {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "VIRTUAL_ENV": str(environment)},
    )


def _make(environment: Path) -> None:
    print(f"Installing the peers into {environment.relative_to(ROOT)} (once)", file=sys.stderr)
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    shutil.rmtree(environment, ignore_errors=True)
    steps = (
        [uv, "venv", "--quiet", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--python", str(_python(environment)), "-r", str(_PINS)],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            str(_python(environment)),
            "-r",
            str(_FILES),
        ],
    )
    system = any(Path(path).exists() for path in _CERTIFICATES)
    variables = {"UV_SYSTEM_CERTS": str(system).lower(), **os.environ}
    for step in steps:
        try:
            subprocess.run(step, check=True, env=variables)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(
                f"The peers that this benchmark compares with could not be installed.\n{error}\n"
                "Hint: it needs uv (`make setup` gets it) and, this first time, the network or uv's cache."
            )
    (environment / "complete").touch()


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
