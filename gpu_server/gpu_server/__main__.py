"""The command: `conduit-gpu-server --config FILE`, or `python -m gpu_server`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from gpu_server import __version__, health_check
from gpu_server.logs import configure_logging
from gpu_server.settings import (
    CONFIG_VARIABLE,
    EXPIRY_VARIABLE,
    TOKEN_VARIABLE,
    ModelSettings,
    ServerSettings,
    SettingsError,
    load_settings,
    settings_from_environment,
    token_from_environment,
)

EXIT_SETTINGS = 2
WORKER = "serverless"

DESCRIPTION = """\
Serve open language models over the OpenAI protocol, in batches.
`conduit-gpu-server serverless` serves jobs of RunPod Serverless instead; see its --help.

The configuration is JSON:
  {
    "port": 8000,
    "models": [
      {"model_id": "conduit/tiny", "path": "/models/tiny", "max_model_len": 1400, "max_model_concurrency": 50}
    ]
  }
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server, or the worker, and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [WORKER]:
        from gpu_server.serverless import worker

        return worker.main(arguments[1:])
    given = _parser().parse_args(arguments)
    configure_logging(given.log_level)
    if given.is_live:
        return _is_live(given.port)
    try:
        settings = settings_from_environment() if given.config is None else load_settings(given.config)
        token = token_from_environment()
    except SettingsError as error:
        return _say(str(error), EXIT_SETTINGS)
    address = {"host": given.host, "port": given.port}
    settings = settings.model_copy(update={k: v for k, v in address.items() if v is not None})
    from gpu_server import server  # slow to import; --help and a wrong configuration need none of it

    try:
        return server.serve(settings, token)
    except SettingsError as error:
        return _say(str(error), EXIT_SETTINGS)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conduit-gpu-server",
        description=DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration (default: the JSON in {CONFIG_VARIABLE})",
    )
    parser.add_argument("--host", help="address to listen on, in place of the configuration's")
    parser.add_argument("--port", type=_port, help="port to listen on, in place of the configuration's")
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="least level of the log on stderr (default: info)",
    )
    parser.add_argument(
        "--is-live",
        action="store_true",
        help="ask the server on --port of this machine whether it lives: exit code 0 or 1",
    )
    parser.add_argument("--version", action="version", version=f"gpu_server {__version__}")
    return parser


def _epilog() -> str:
    return f"""\
environment:
  {TOKEN_VARIABLE}    bearer token that callers must show; required; several with commas between them
  {CONFIG_VARIABLE}   the configuration, where --config is not given
  {EXPIRY_VARIABLE}  unix time at which it ends, whatever happens
  HF_TOKEN, HF_ENDPOINT, HF_HOME   the hub's: a token for gated models, another hub, where its cache is
  RAYON_NUM_THREADS   kernel threads of the embedded engine; chosen by model size when unset

fields of the configuration (defaults):
{_fields(ServerSettings)}

fields of a model (defaults):
{_fields(ModelSettings)}

exit codes:
  0 ended by a signal or a limit   2 configuration or token   3 port taken   4 no model could be loaded
  5 this machine cannot run the engine, another may
"""


def _fields(kind: type[BaseModel]) -> str:
    shown = [
        # A name and its default stay on one line.
        f"{name}\N{NO-BREAK SPACE}{'(required)' if field.is_required() else json.dumps(field.default)}"
        for name, field in kind.model_fields.items()
    ]
    lines = textwrap.fill(", ".join(shown), 110, initial_indent="  ", subsequent_indent="  ")
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _is_live(port: int | None) -> int:
    if not port:
        return _say("--is-live needs --port", EXIT_SETTINGS)
    return 0 if health_check.lives(port) else 1


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"gpu_server: {message}\n")
    return code


if __name__ == "__main__":
    run()
