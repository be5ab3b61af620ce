"""``conduit demo``: the example flow on hand-written messages, with all that it needs, and nothing left behind.

A Prefect server is started where none is configured; meanwhile the flow's process brings the replicas up. It runs
the flow, deletes the replicas and ends; then the server is stopped. Every way out goes through the same clean-up:
success, an error, Ctrl-C, SIGTERM.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from conduit import lmlite
from conduit import settings as settings_module
from conduit.cli.demo_report import Report, show
from conduit.cli.flow_child import FlowChild
from conduit.cli.flow_process import Task
from conduit.cli.interrupts import Interrupts
from conduit.cli.page import demo_page, messages_of, served
from conduit.cli.prefect_server import OwnServer, RunningServer, client_environment, configured_server
from conduit.cli.render import Screen, command
from conduit.errors import ConduitError, StoreUnavailable
from conduit.lmlite import ModelConfig
from conduit.lmlite.nodes.model_files import locate
from conduit.settings import Settings
from conduit.store import open_store

PROJECT = "conduit demo"


def demo_settings() -> Settings:
    """The settings of the demo's own deployments: one project, from whatever folder they were started."""
    return settings_module.load().model_copy(update={"project": PROJECT, "run_log": True})


def run(*, keep: bool, model: str, as_json: bool) -> None:
    """Runs the demo."""
    with command(as_json=as_json) as screen:
        settings = demo_settings()
        open_store(settings)  # a data folder that cannot be used shows before anything is started
        with _alone(settings) as folder:
            report = _Demo(screen, settings, folder, keep=keep, model=model).run()
        screen.result(report.as_dict(), lambda out: show(out, report))


class _Demo:
    """One run."""

    def __init__(self, screen: Screen, settings: Settings, folder: Path, *, keep: bool, model: str) -> None:
        self._screen, self._settings, self._keep = screen, settings, keep
        self._model = str(Path(model).expanduser().absolute()) if Path(model).expanduser().is_dir() else model
        locate(ModelConfig(self._model))  # one that does not exist shows before anything is started
        self._database = folder / "inbox.duckdb"
        self._log = folder / "flow.log"
        self._own = OwnServer(settings)

    def run(self) -> Report:
        begun = time.perf_counter()
        self._database.unlink(missing_ok=True)
        clean_up, stay = ExitStack(), False
        with Interrupts() as signals:
            try:
                report = self._run(clean_up)
                stay = self._keep
            finally:
                signals.ignore()
                with self._screen.step("Stopping what was started") as step:
                    step.done = (
                        "The Prefect UI and the replicas stay up" if stay else "Stopped what was started"
                    )
                    clean_up.close()
        report.seconds["total"] = time.perf_counter() - begun
        return report

    def _run(self, stack: ExitStack) -> Report:
        page = demo_page()
        configured = configured_server()
        server = None if configured else self._start_server(stack)
        api_url = server.api_url if server else str(configured)
        child = self._start_flow(stack, stack.enter_context(served(page)), api_url, server)
        if server is not None:
            with self._screen.step("Starting a Prefect server (longest the first time)") as step:
                self._own.wait(server, check=child.check)
                step.done = f"Prefect server at {server.ui_url}"
        with self._screen.step(f"Bringing up two replicas of {self._model}") as step:
            up = child.event("replicas")
            step.done = f"{len(up['replicas'])} replicas of {self._model} ready"
        with self._screen.step("Running the flow") as step:
            child.go()
            flow = child.event("flow")
            step.done = f"Flow run: {flow['state']}"
            child.finish()
        report = Report.read(
            self._settings,
            messages_of(page),
            self._database,
            api_url,
            flow,
            model=self._model,
            kept=self._keep,
        )
        if self._keep and server is not None:
            self._own.keep(server)
        return report

    def _start_server(self, stack: ExitStack) -> RunningServer:
        server = self._own.running()
        if server is None or not server.kept:
            stack.callback(self._stop_server)
        return server or self._own.start()

    def _stop_server(self) -> None:
        server = self._own.running()
        if server is None or not server.kept:
            self._own.stop()

    def _start_flow(
        self, stack: ExitStack, url: str, api_url: str, server: RunningServer | None
    ) -> FlowChild:
        environment = dict(os.environ) if server is None else client_environment(self._own.home, api_url)
        environment |= {
            "CONDUIT_DATA_DIR": str(self._settings.data_dir),
            "CONDUIT_PROJECT": PROJECT,
            "CONDUIT_RUN_LOG": "true",
            "INBOX_MODEL": self._model,
        }
        task = Task(
            url, str(self._database), keep=self._keep, stop_server=server is not None and not server.kept
        )
        # Prefect reads .env and prefect.toml where it stands: they count where the user's own server is used.
        cwd = None if server is None else self._own.home
        child = FlowChild(task, log=self._log, environment=environment, cwd=cwd)
        stack.callback(self._end_replicas, child)
        return stack.enter_context(child)

    def _end_replicas(self, child: FlowChild) -> None:
        if child.killed:
            lmlite.down(self._settings)


@contextmanager
def _alone(settings: Settings) -> Iterator[Path]:
    """The demo's folder, for one demo at a time."""
    folder = settings.data_dir / "demo"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=0):
            yield folder
    except Timeout as error:
        raise ConduitError(
            f"Another `conduit demo` runs on the data folder {settings.data_dir}.",
            hint="Wait for it, or set CONDUIT_DATA_DIR to another folder.",
        ) from error
    except PermissionError as error:
        raise StoreUnavailable(
            f"The demo's folder {folder} cannot be written: {error.strerror}.",
            hint="Set CONDUIT_DATA_DIR to a folder that you may write to.",
            path=str(folder),
        ) from error
