"""``conduit serve``: the LMLite of a file at one OpenAI-compatible address, until Ctrl-C.

What it started it gives back, unless another program wants the same deployment: as ``with lm:`` does.
"""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from conduit.cli.interrupts import Interrupts
from conduit.cli.lmlites import lmlite
from conduit.cli.render import Screen, command
from conduit.errors import ArgumentInvalid, FileError
from conduit.lmlite import LMLiteResource
from conduit.lmlite.front.front import Front

TOKEN_VARIABLE = "CONDUIT_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_LOOK_S = 0.5  # Windows interrupts no wait without an end


def run(
    target: str,
    *,
    port: int,
    host: str,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    as_json: bool,
) -> None:
    """Serves until it is interrupted; everything that is wrong shows before a model is loaded."""
    with command(as_json=as_json) as screen, Interrupts() as interrupts:
        token, source = _token(token_file)
        lm = lmlite(target)
        front = lm.serve(port, host=host, token=token, tls_certificate=tls_certificate, tls_key=tls_key)
        try:
            _serve(screen, lm, front, source)
        finally:
            interrupts.ignore()
            with screen.step("Letting requests end and giving back what was started") as step:
                step.done = "Gave back what was started"
                front.close()
                lm.__exit__(None, None, None)


def _serve(screen: Screen, lm: LMLiteResource, front: Front, token_source: str | None) -> None:
    replicas = lm.config.replicas
    with screen.step(f"Bringing up {_count(replicas, 'replica')} of {', '.join(lm.model_ids)}") as step:
        lm.up()
        step.done = f"{_count(replicas, 'replica')} of {', '.join(lm.model_ids)} ready"
    made_up = front.token.get_secret_value() if token_source is None else None
    document = {
        "url": front.url,
        "token": made_up,
        "token_from": token_source,
        "models": list(lm.model_ids),
        "replicas": replicas,
    }
    try:
        screen.result(document, lambda out: _show(out, front, lm, token_source))
        while not front.wait(_LOOK_S):
            pass
    except SystemExit:
        return  # being interrupted is how it ends


def _show(out: Console, front: Front, lm: LMLiteResource, token_source: str | None) -> None:
    token = front.token.get_secret_value() if token_source is None else f"the one in {token_source}"
    model = lm.model_ids[0]
    key = front.token.get_secret_value() if token_source is None else f"$(cat {token_source})"
    if token_source == TOKEN_VARIABLE:
        key = f"${TOKEN_VARIABLE}"
    in_python = {None: f'"{key}"', TOKEN_VARIABLE: f'os.environ["{TOKEN_VARIABLE}"]'}.get(
        token_source, f'Path("{token_source}").read_text().strip()'
    )
    extra = " --insecure" if front.url.startswith("https") else ""
    for line in (
        "",
        f"Serving at  {front.url}",
        f"Token       {token}",
        f"Models      {', '.join(lm.model_ids)}",
        "",
        "Try it:",
        f"  curl{extra} {front.url}/chat/completions \\",
        f'    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
        f"""    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
        "",
        "Or with any OpenAI client:",
        f'  OpenAI(base_url="{front.url}", api_key={in_python})',
        "",
        "Ctrl-C ends it and gives back what was started.",
    ):
        out.print(line, soft_wrap=True)


def _token(file: Path | None) -> tuple[str | None, str | None]:
    """The token that callers are to show, and where it is from; nothing where one is to be made up."""
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"The token file {file} cannot be read: {error}.", path=str(file)) from error
        if not text:
            raise ArgumentInvalid(f"The token file {file} is empty.", argument="token_file")
        return text, str(file)
    return (given, TOKEN_VARIABLE) if (given := os.environ.get(TOKEN_VARIABLE)) else (None, None)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
