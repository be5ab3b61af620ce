"""``conduit top``: what the replicas do right now, drawn anew each second until q or Ctrl-C."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.live import Live

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.demo import demo_settings
from conduit.cli.render import command
from conduit.cli.top_rows import DeploymentRow, History
from conduit.cli.top_screen import Screen
from conduit.lmlite import DeploymentView, Said, Watch
from conduit.settings import Settings

Look = Callable[[], tuple[DeploymentRow, ...]]


def run(*, everywhere: bool, once: bool, interval_s: float, as_json: bool) -> None:
    """Shows the deployments of the project, and of the demo, or of all projects; changes nothing."""
    with command(as_json=as_json) as screen:
        settings = settings_module.load()
        title = "conduit top  all projects" if everywhere else f"conduit top  {settings.project}"
        with _looking(settings, everywhere=everywhere) as look, _until_interrupted():
            if once:
                look()  # rates need two looks
                time.sleep(interval_s)
                rows = look()
                if as_json:
                    _write(rows)
                else:
                    screen.out.print(Screen(rows, title))
            elif as_json:
                while True:
                    _write(look())
                    time.sleep(interval_s)
            else:
                _draw(screen.out, look, title, interval_s)


@contextmanager
def _looking(settings: Settings, *, everywhere: bool) -> Iterator[Look]:
    places = [settings] if everywhere else [settings, demo_settings()]
    history = History()
    with ExitStack() as stack:
        watches = [(place, stack.enter_context(Watch(place))) for place in places]

        def look() -> tuple[DeploymentRow, ...]:
            found: list[DeploymentView] = []
            said: dict[str, Said] = {}
            for place, watch in watches:
                here = lmlite.deployments(place, all_projects=everywhere)
                found += here
                said |= watch.ask(here)
            return history.rows(found, said)

        yield look


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Ctrl-C is the way out, not an error; so is a reader of our output that has gone."""
    try:
        yield
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what is buffered goes nowhere at exit


def _draw(out: Console, look: Look, title: str, interval_s: float) -> None:
    rows = look()
    if not out.is_terminal:
        while True:
            out.print(Screen(rows, f"{title}  {time.strftime('%H:%M:%S')}"))
            time.sleep(interval_s)
            rows = look()
    with _keys() as key, Live(console=out, screen=True, auto_refresh=False) as live:
        foot = "q quits" if key is not None else "Ctrl-C quits"
        while True:
            live.update(Screen(rows, f"{title}  {time.strftime('%H:%M:%S')}", foot), refresh=True)
            drawn = time.monotonic()
            if key is None:
                time.sleep(interval_s)
            else:
                while (left_s := drawn + interval_s - time.monotonic()) > 0:
                    if key(left_s) in ("q", "Q"):
                        return
            rows = look()


@contextmanager
def _keys() -> Iterator[Callable[[float], str] | None]:
    """Gives a function that waits for a key, or ``None`` where no keyboard is to be read."""
    try:
        import termios
        import tty
    except ImportError:  # on Windows
        termios = None  # type: ignore[assignment]
    if termios is None or not sys.stdin.isatty():
        yield None
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key(timeout_s: float) -> str:
        if not select.select([descriptor], [], [], timeout_s)[0]:
            return ""
        return (
            os.read(descriptor, 1).decode(errors="replace") or "q"
        )  # nothing to read: the terminal has gone

    try:
        tty.setcbreak(descriptor)
        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _write(rows: tuple[DeploymentRow, ...]) -> None:
    document = {"at": time.time(), "deployments": [asdict(row) for row in rows]}
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
