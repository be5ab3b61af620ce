"""``conduit sim``: stand-ins for providers, in this terminal, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path

from rich.console import Console

from conduit.cli.render import Screen, command
from conduit.errors import FileError
from conduit.sim.runpod import Fault, Options
from conduit.sim.runpod.address import Address
from conduit.sim.runpod.events import Event
from conduit.sim.runpod.server import serve


def run_runpod(
    *,
    port: int,
    pods: int,
    faults: list[str],
    model: str,
    price_factor: float,
    foreign: int,
    env: Path | None,
    as_json: bool,
) -> None:
    """Serves until it is interrupted, a line for whatever happens; ends its pods."""
    with command(as_json=as_json) as screen:
        options = Options(
            port=port,
            max_pods=pods,
            faults=tuple(Fault.parse(fault) for fault in faults),
            model=model,
            price_factor=price_factor,
            foreign=foreign,
        )

        def ready(address: Address) -> None:
            variables = address.environment(options.api_key)
            if env is not None:
                _write(env, variables)
            document = {**variables, "admin_key": options.admin_key}
            if screen.as_json:
                screen.out.print(json.dumps(document), soft_wrap=True)
            else:
                _show(screen.out, address, options, env)

        asyncio.run(serve(options, on_ready=ready, on_event=lambda event: _tell(screen, event)))


def _show(out: Console, address: Address, options: Options, env: Path | None) -> None:
    for line in (
        "A simulated RunPod, for this machine only. In another terminal:",
        "",
        *_exports(address.environment(options.api_key)),
        *(() if env is None else ("", f"They are in {env}, too.")),
        "",
        f"Faults while it runs: POST {address.base_url}/sim/faults with the key {options.admin_key}",
        "Ctrl-C ends it and all its pods.",
        "",
    ):
        out.print(line, soft_wrap=True)


def _tell(screen: Screen, event: Event) -> None:
    if screen.as_json:
        screen.out.print(json.dumps(event.as_dict()), soft_wrap=True)
    else:
        pod = f"{event.pod_id}  " if event.pod_id else ""
        screen.out.print(f"{event.clock}  {event.kind:<9}  {pod}{event.text}", soft_wrap=True)


def _exports(variables: dict[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _write(path: Path, variables: dict[str, str]) -> None:
    """For ``source``; readable by its owner alone, since a key is in it.

    Raises:
        FileError: It cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(_exports(variables)) + "\n")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.", path=str(path)) from error
