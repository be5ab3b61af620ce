"""The command: `python -m gpu_server --config FILE`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from gpu_server import __version__
from gpu_server.logs import configure_logging
from gpu_server.settings import TOKEN_VARIABLE, SettingsError, load_settings, token_from_environment

EXIT_SETTINGS = 2

DESCRIPTION = """\
Serve open language models over the OpenAI protocol, in batches.

The configuration is a JSON file:
  {
    "port": 8000,
    "models": [
      {"model_id": "conduit/tiny", "path": "/models/tiny", "max_model_len": 1400, "max_model_concurrency": 50}
    ]
  }
"""

EPILOG = f"""\
environment:
  {TOKEN_VARIABLE}    bearer token that callers must show; required
  RAYON_NUM_THREADS   kernel threads of the embedded engine; chosen by model size when unset

further fields (defaults):
  host "127.0.0.1", port 0 (any free), announce null (file that gets pid, host, port), idle_timeout_s null,
  max_lifetime_s null, max_body_bytes 4194304
  in a model: path null (model_id is then a hub id), engine "mistralrs", max_model_len 1024,
  max_model_concurrency 1, model_batch_execute_timeout_ms 0, max_queue 256, dtype null, revision null,
  quantization null

routes:
  /live  /ready  /metrics  /v1/models  /v1/chat/completions

exit codes:
  0 ended by a signal or a limit   2 configuration or token   3 port taken   4 no model could be loaded
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_server",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, JSON")
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="least level of the log on stderr (default: info)",
    )
    parser.add_argument("--version", action="version", version=f"gpu_server {__version__}")
    given = parser.parse_args(arguments)
    configure_logging(given.log_level)
    try:
        settings = load_settings(given.config)
        token = token_from_environment()
    except SettingsError as error:
        return _say(str(error), EXIT_SETTINGS)
    from gpu_server import server  # slow to import; --help and a wrong configuration need none of it

    try:
        return server.serve(settings, token)
    except server.PortTaken as error:
        return _say(str(error), server.EXIT_PORT_TAKEN)


def run() -> None:
    """Run the command and end the process."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        # A thread is still inside the engine. Waiting for it could take as long as its request; ending the
        # interpreter around it would abort.
        os._exit(code)
    sys.exit(code)


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"gpu_server: {message}\n")
    return code


if __name__ == "__main__":
    run()
