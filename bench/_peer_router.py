"""sglang-router, the router to compare with, in an environment of its own: it is in nobody's uv.lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from filelock import FileLock

ROUTER: Final = "sglang-router 0.3.2"
_ROOT: Final = Path(__file__).resolve().parents[1]
_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def router_environment() -> Path:
    """The environment that has it, made now if need be."""
    environment = (
        _ROOT
        / ".artifacts"
        / f"{ROUTER.replace(' ', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    )
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "complete").exists():
            print(f"Installing {ROUTER} into {environment.relative_to(_ROOT)} (once)", file=sys.stderr)
            shutil.rmtree(environment, ignore_errors=True)
            uv = shutil.which("uv") or str(_ROOT / ".tools" / "bin" / "uv")
            requirement = ROUTER.replace(" ", "==")
            system = any(Path(path).exists() for path in _CERTIFICATES)
            variables = {"UV_SYSTEM_CERTS": str(system).lower(), **os.environ}
            for step in (
                [uv, "venv", "--quiet", "--python", sys.executable, str(environment)],
                [
                    uv,
                    "pip",
                    "install",
                    "--quiet",
                    "--python",
                    str(environment / "bin" / "python"),
                    requirement,
                ],
            ):
                try:
                    subprocess.run(step, check=True, env=variables)
                except (OSError, subprocess.CalledProcessError) as error:
                    sys.exit(
                        f"{ROUTER} could not be installed.\n{error}\n"
                        "Hint: it needs uv (`make setup` gets it) and, this first time, the network or uv's cache."
                    )
            (environment / "complete").touch()
    return environment
