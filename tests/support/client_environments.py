"""Packages that cannot live in the project's own environment, or had better not: LiteLLM holds back what others
here need newer, RunPod's SDK brings thirty packages.

Each gets an environment under .artifacts, made by uv at its first use (network, or uv's cache) and kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
LITELLM = "litellm==1.106.2"
RUNPOD = "runpod==1.12.0"
RUNPOD_NEXT = "runpod==2.0.0rc2"  # the first that speaks REST v2
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def litellm_python() -> str:
    """The Python of an environment that has LiteLLM."""
    return _python_with(LITELLM)


def runpod_python() -> str:
    """The Python of an environment that has RunPod's SDK."""
    return _python_with(RUNPOD)


def runpod_next_python() -> str:
    """The Python of an environment that has the next major version of RunPod's SDK."""
    return _python_with(RUNPOD_NEXT)


def _python_with(requirement: str) -> str:
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    environment = ROOT / ".artifacts" / f"{requirement.replace('==', '-')}-{version}"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "complete").exists():
            uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
            shutil.rmtree(environment, ignore_errors=True)
            system = any(Path(path).exists() for path in CERTIFICATES)
            variables = {"UV_SYSTEM_CERTS": str(system).lower(), **os.environ}
            for step in (
                [uv, "venv", "--quiet", "--python", sys.executable, str(environment)],
                [uv, "pip", "install", "--quiet", "--python", str(python), requirement],
            ):
                done = subprocess.run(step, env=variables, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{' '.join(step)}\n{done.stderr}"
            (environment / "complete").touch()
    return str(python)
