"""Controllers that share one database and one cloud, each a process of its own as far as the records can tell.

A controller can be killed at any step: from there on nothing that it still does reaches records or cloud, so that
what its ``finally`` clauses would do is undone, as it is by SIGKILL.
"""

from __future__ import annotations

import inspect
import itertools
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from unittest import mock

from conduit import compute, provisioning
from conduit.compute import Offering
from conduit.provisioning import Candidate, Site, Terms
from conduit.settings import Settings
from conduit.store import NodeState, declarations, leases, processes
from support.faulty_provider import FaultyProvider

OFFERINGS = (
    Offering("faulty", "l4", "NVIDIA L4", 1, 22.5, 0.40),
    Offering("faulty", "a40", "NVIDIA A40", 1, 44.5, 0.60),
)
CANDIDATES = tuple(Candidate({"models": []}, offering) for offering in OFFERINGS)

_pid: ContextVar[int] = ContextVar("pid_of_controller", default=1)
_dead: set[int] = set()
_pids = itertools.count(2)


class Killed(BaseException):
    """The process is no more."""


class Life:
    """Counts the steps of a controller, and ends it at one of them."""

    def __init__(self) -> None:
        self.pid = next(_pids)
        self.steps = 0
        self.dies_at: int | None = None
        self.dead = False

    def step(self) -> None:
        self.steps += 1
        if self.dies_at is not None and self.steps >= self.dies_at:
            self.kill()
        if self.dead:
            raise Killed

    def kill(self) -> None:
        self.dead = True
        _dead.add(self.pid)


class Mortal:
    """Something whose every method begins and ends with a step."""

    def __init__(self, target, life: Life) -> None:
        self._target, self._life = target, life

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if not callable(value):
            return value
        return self._steps(value)

    def _steps(self, method):
        life = self._life

        async def asynchronous(*args, **kwargs):
            life.step()
            try:
                return await method(*args, **kwargs)
            finally:
                life.step()

        def synchronous(*args, **kwargs):
            life.step()
            try:
                return method(*args, **kwargs)
            finally:
                life.step()

        return asynchronous if inspect.iscoroutinefunction(method) else synchronous


class Records(Mortal):
    """A controller's way to the store; it keeps which nodes that controller was the first to give up."""

    def __init__(self, store, life: Life) -> None:
        super().__init__(store, life)
        self.given_up: set[str] = set()

    def transition(self, node_id, state, **more):
        before = self._target.node(node_id)
        if state is NodeState.TERMINATING and before is not None and before.state is not state:
            self.given_up.add(node_id)
        return self._steps(self._target.transition)(node_id, state, **more)


@contextmanager
def processes_by_name():
    """Has the records tell processes apart by the controller that runs, and know the dead ones."""
    _dead.clear()
    own = SimpleNamespace(getpid=_pid.get)
    with ExitStack() as stack:
        for module in (leases, declarations):
            stack.enter_context(mock.patch.object(module, "os", own))
        stack.enter_context(mock.patch.object(processes, "start_of", return_value=0.0))
        stack.enter_context(mock.patch.object(processes, "dead", lambda pid, _: pid in _dead))
        yield


class Controller:
    """One process that brings deployments up and down.

    Attributes:
        name: By which the cloud knows who asked.
        life: Its steps, and its end.
        records: Its way to the store.
        site: Its records and provider.
    """

    def __init__(self, name, store, cloud, owner, *, tmp_path, project="p", **caps) -> None:
        self.name, self.life = name, Life()
        self.records = Records(store, self.life)
        settings = Settings(data_dir=tmp_path, project=project)
        self.site = Site(
            settings,
            self.records,
            Mortal(FaultyProvider(cloud, name=name, **caps), self.life),
            owner,
        )

    async def up(self, key, replicas=1, *, terms=None, candidates=CANDIDATES):
        """What a deployment does to have its nodes."""
        _pid.set(self.life.pid)
        site, store = self.site, self.site.store
        async with provisioning.exclusive(site, key):
            await provisioning.off_loop(
                store.put_deployment,
                key,
                project=site.settings.project,
                owner=site.owner.id,
                provider="faulty",
                spec={},
            )
            await provisioning.off_loop(store.declare, key)
            found = await provisioning.living(site, key, replicas)
            for number in set(range(replicas)) - set(found):
                found[number] = await provisioning.start(
                    site, key, number, candidates, terms=terms or Terms(max_lifetime_s=3600)
                )
            return found

    @asynccontextmanager
    async def alone(self, key):
        """The deployment's lease."""
        _pid.set(self.life.pid)
        async with provisioning.exclusive(self.site, key):
            yield

    async def stop(self, key):
        """What a deployment does to end its nodes and keep its records."""
        async with self.alone(key):
            rows = await provisioning.off_loop(self.site.store.nodes, deployment_key=key, live=True)
            await provisioning.end_all(self.site, rows)

    async def down(self, key):
        """What a deployment does to give everything back."""
        _pid.set(self.life.pid)
        async with provisioning.exclusive(self.site, key):
            return await provisioning.remove(self.site, key)

    async def reconcile(self):
        """What every controller does at its start, and now and then."""
        _pid.set(self.life.pid)
        return await provisioning.reconcile_site(self.site)


def load_owner(tmp_path):
    return compute.load_owner(Settings(data_dir=tmp_path))
