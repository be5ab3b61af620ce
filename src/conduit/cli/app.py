"""The commands and their options; each command's work is in the module of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from conduit.cli.cache import cache_app
from conduit.cli.render import AsJson
from conduit.cli.runs import runs_app

app = typer.Typer(
    name="conduit",
    help="Typed dataflows over open language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def demo(
    *,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the Prefect UI and the replicas up; `conduit down` ends them."),
    ] = False,
    model: Annotated[
        str, typer.Option(help="Another model: a folder in the Hugging Face layout, or an id on the hub.")
    ] = "conduit/tiny",
    as_json: AsJson = False,
) -> None:
    """Run a typed flow on a real model, end to end, and stop all that it started."""
    from conduit.cli import demo as room

    room.run(keep=keep, model=model, as_json=as_json)


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check this machine: what was found, and what to do about it."""
    from conduit.cli import doctor as room

    room.run(as_json=as_json)


@app.command()
def status(
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="Those of all projects.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the deployments of this project, their replicas and what they cost, and the demo's Prefect server."""
    from conduit.cli import status as room

    room.run(everywhere=everywhere, watch=watch, as_json=as_json)


@app.command()
def top(
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="The replicas of all projects.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document a line for each look and nothing else.")
    ] = False,
) -> None:
    """Show live what the replicas do: requests, tokens a second, waiting, errors, memory. q or Ctrl-C ends it."""
    from conduit.cli import top as room

    room.run(everywhere=everywhere, once=once, interval_s=interval, as_json=as_json)


@app.command()
def serve(
    target: Annotated[
        str, typer.Argument(metavar="FILE[:NAME]", help="A Python file, and the name of the LMLite in it.")
    ],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="0.0.0.0 for all addresses of this machine.")] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that callers show; or set CONDUIT_SERVE_TOKEN. Else one is made up."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file; with --tls-key it speaks HTTPS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a file's LMLite at one OpenAI-compatible address until Ctrl-C, and give back what was started."""
    from conduit.cli import serve as room

    room.run(
        target,
        port=port,
        host=host,
        token_file=token_file,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        as_json=as_json,
    )


@app.command()
def check(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="FILE[:FLOW]...", help="Python files with flows, or one flow of each."),
    ],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="End with code 1 for warnings, too.")] = False,
    time_limit: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="For each file, its import included.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Check flows before anything runs: types along the flow, blocks, models, memory. Starts nothing, asks nobody.

    Exit codes: 0 no errors, 1 errors found, 2 a file could not be checked.
    """
    from conduit.cli import check as room

    room.run(targets, strict=strict, time_limit_s=time_limit, as_json=as_json)


@app.command()
def plan(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:NAME]", help="A Python file with LMLites (or one of them), or a config.toml."
        ),
    ],
    *,
    online: Annotated[
        bool,
        typer.Option(
            "--online/--offline", help="Ask the provider what is on sale, and the hub about unknown models."
        ),
    ] = False,
    gpu: Annotated[str | None, typer.Option(help="Only this GPU, as NVIDIA L4.")] = None,
    num_gpus: Annotated[int | None, typer.Option(min=1, help="GPUs of one machine.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Only there; may be given again.")] = None,
    max_usd_per_hour: Annotated[
        float | None, typer.Option(min=0.0, help="Most that all replicas together may cost.")
    ] = None,
    secure: Annotated[bool, typer.Option("--secure", help="Only in data centres.")] = False,
    replicas: Annotated[int | None, typer.Option(min=1, help="In place of the file's.")] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every offering that was rejected, not only cheaper ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which GPU would run a file's models, in which shares, for how much, and why nothing cheaper would."""
    from conduit.cli import plan as room

    room.run(
        target,
        online=online,
        gpu=gpu,
        num_gpus=num_gpus,
        region=region or (),
        max_usd_per_hour=max_usd_per_hour,
        secure=secure,
        replicas=replicas,
        show_all=show_all,
        as_json=as_json,
    )


@app.command()
def up(
    target: Annotated[
        str, typer.Argument(metavar="FILE[:NAME]", help="A Python file with LMLites, or one of them.")
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a file's LMLites would cost, ask, and start them; they stay up until `conduit down`."""
    from conduit.cli import up as room

    room.run(target, yes=yes, as_json=as_json)


@app.command()
def cost(
    *,
    since: Annotated[str | None, typer.Option(help="Only the last 30m, 24h, 7d.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Those of all projects.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what deployments cost, deleted ones included: calls, start, idle time, and the provider's bills."""
    from conduit.cli import cost as room

    room.run(since=since, everywhere=everywhere, as_json=as_json)


@app.command()
def gc(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--yes", help="Only say what would be removed, or remove it.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Remove deployments of this project that no running program wants, and replicas that no record knows."""
    from conduit.cli import down as room

    room.collect(dry_run=dry_run, as_json=as_json)


@app.command()
def down(*, as_json: AsJson = False) -> None:
    """Stop all of this project's deployments, and all that `conduit demo --keep` left up."""
    from conduit.cli import down as room

    room.run(as_json=as_json)


@app.command()
def version(*, as_json: AsJson = False) -> None:
    """Print the versions of Conduit and of what it stands on."""
    from conduit.cli import versions as room

    room.run(as_json=as_json)


app.add_typer(cache_app, name="cache")
app.add_typer(runs_app, name="runs")

sim_app = typer.Typer(help="Stand-ins for providers.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sim_app, name="sim")


@sim_app.command("runpod")
def sim_runpod(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 0,
    pods: Annotated[int, typer.Option(min=0, max=1000, help="How many may run at a time.")] = 8,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AT=KIND[:TIMES]", help="Something that goes wrong; may be given several times."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="What is loaded in place of every model: a folder in the Hugging Face layout.")
    ] = "conduit/tiny",
    price_factor: Annotated[float, typer.Option(min=0.001, help="All prices are multiplied by it.")] = 1.0,
    foreign: Annotated[int, typer.Option(min=0, max=100, help="Pods of somebody else.")] = 0,
    env: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the variables there, too.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document a line: the variables, then each event.")
    ] = False,
) -> None:
    """Simulate RunPod's REST API on this machine, with pods that are processes, until Ctrl-C."""
    from conduit.cli import sim as room

    room.run_runpod(
        port=port,
        pods=pods,
        faults=fault or [],
        model=model,
        price_factor=price_factor,
        foreign=foreign,
        env=env,
        as_json=as_json,
    )


mdl_app = typer.Typer(
    help="Look at what a model is told and held to.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(mdl_app, name="mdl")


@mdl_app.command("show")
def mdl_show(
    target: Annotated[
        str, typer.Argument(metavar="FILE:NAME", help="A function, a block or a type in a Python file.")
    ],
    *,
    engine: Annotated[
        Literal["llguidance", "xgrammar", "openai"],
        typer.Option(help="Whose grammar the schema is lowered for."),
    ] = "llguidance",
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Count tokens with this tokenizer.json, or that of a model's folder."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the prompt, the schema, who enforces which part of it, and how many tokens the prompt has."""
    from conduit.cli import mdl_show as room

    room.run(target, engine=engine, tokenizer=tokenizer, as_json=as_json)


@mdl_app.command("check")
def mdl_check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:NAME]", help="A Python file, something in one, or a JSON Schema (*.json)."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Compile schemas as an engine would, within 5 s each; exits with 1 when one does not compile."""
    from conduit.cli import mdl_check as room

    room.run(target, as_json=as_json)
