"""The command `conduit-gpu-server serverless`: starts the server, then takes jobs until the platform ends it.

Arguments that are not its own go to RunPod's SDK: `--rp_serve_api` answers jobs on a local address, without RunPod.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_server.logs import configure_logging
from gpu_server.serverless.handler import handler
from gpu_server.serverless.local_server import COMMAND, LocalServer, ServerEnded
from gpu_server.settings import SettingsError, load_settings, settings_from_environment

logger = logging.getLogger(__name__)

EXIT_SETTINGS = 2
INSTALL = "pip install 'conduit-gpu-server[serverless]'"


def main(arguments: Sequence[str]) -> int:
    """Serve jobs and return the exit code."""
    given, for_sdk = _parser().parse_known_args(arguments)
    configure_logging("info")
    try:
        import runpod
    except ImportError:
        return _say(f"RunPod's SDK is not installed: {INSTALL}", EXIT_SETTINGS)
    try:
        settings = settings_from_environment() if given.config is None else load_settings(given.config)
    except SettingsError as error:
        return _say(str(error), EXIT_SETTINGS)
    server = LocalServer(settings, shlex.split(given.server) if given.server else COMMAND)
    try:
        server.start()
        logger.info("taking jobs, %d at a time", server.places)
        sys.argv = [sys.argv[0], *for_sdk]  # where the SDK looks
        runpod.serverless.start(_sdk_config(server))
    except ServerEnded as error:
        return _say(str(error), error.code)
    finally:
        server.close()
    return 0


def _sdk_config(server: LocalServer) -> dict[str, Any]:
    """Return what the SDK wants. It reads `refresh_worker` anew after each job."""
    config: dict[str, Any] = {
        "return_aggregate_stream": True,
        "concurrency_modifier": lambda _: server.places,
    }

    def lost() -> None:
        logger.error("the engine was lost: this worker asks to be replaced")
        config["refresh_worker"] = True

    config["handler"] = handler(server, server.served, lost)
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conduit-gpu-server serverless",
        description="Serve jobs of RunPod Serverless.",
        epilog="Further arguments go to RunPod's SDK, for example --rp_serve_api --rp_api_port 8000.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's configuration")
    parser.add_argument("--server", metavar="COMMAND", help="starts the server, if not this Python")
    return parser


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"gpu_server: {message}\n")
    return code
