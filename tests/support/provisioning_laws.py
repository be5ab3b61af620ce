"""The laws of provisioning, tried on random sequences of faults, crashes, cancellations and restarts.

Two controllers share one database and one account, with a clock that jumps. After each step every living machine
of theirs has a live row, nobody has paid more than was allowed, no machine of others was touched, and neither
controller has ended what the other one wants. At the end one reconciliation leaves nothing that nobody wants.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conduit.compute import NodeSpec
from conduit.errors import ConduitError
from conduit.provisioning import Terms
from conduit.store import NodeState
from conduit.store.store import Store
from support.controllers import Controller, load_owner, processes_by_name
from support.faulty_provider import CREATE_FAULTS, DESTROY_FAULTS, LOOK_FAULTS, Cloud
from support.virtual_time import virtual_time

SETTLE_S, GAP_S = 10.0, 3.0
DEPLOYMENT_CAP_USD, OWNER_CAP_USD = 2.0, 4.0
A_CENT = 0.01

KEYS = {"a": ("a's", "shared"), "b": ("b's", "shared")}
FAULTS = [("create", f) for f in CREATE_FAULTS] + [("destroy", f) for f in DESTROY_FAULTS]
FAULTS += [("look", f) for f in LOOK_FAULTS]

who = st.sampled_from("ab")
which = st.integers(0, 1)
fate = st.one_of(
    st.none(),
    st.tuples(st.just("killed"), st.integers(1, 60)),
    st.tuples(st.just("cancelled"), st.floats(0.1, 60)),
)
lifetime = st.sampled_from([None, 1800.0, 5000.0])


class Laws(RuleBasedStateMachine):
    """Two controllers, one database, one cloud."""

    @initialize()
    def begin(self):
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.loop = self.stack.enter_context(virtual_time())
        self.stack.enter_context(processes_by_name())
        self.owner = load_owner(self.folder)
        self.cloud, self.store = Cloud(), Store("sqlite://")
        self.births = 0
        self.controllers, self.wants = {}, {}
        for name in "ab":
            self.born(name)
        self.others = [
            self.cloud.make(NodeSpec("n1", "another", "d", "p", {}), usd_per_hour=1.0),
            self.cloud.make(NodeSpec("n2", self.owner.id, "d", "another", {}), usd_per_hour=1.0),
        ]

    def born(self, name):
        self.births += 1
        self.wants[name] = set()
        self.controllers[name] = self.controller(f"{name}{self.births}")

    def controller(self, name):
        return Controller(
            name,
            self.store,
            self.cloud,
            self.owner,
            tmp_path=self.folder,
            settle_s=SETTLE_S,
            absent_gap_s=GAP_S,
        )

    @property
    def ours(self):
        return [m for m in self.cloud.living() if m not in self.others]

    def run(self, *deeds):
        """Does what controllers do, all at once; ``deeds`` are name, key, coroutine and fate."""
        wanted = {name: set(keys) for name, keys in self.wants.items()}
        ended_before = {m.id for m in self.cloud.machines if m.ended_at is not None}
        self.loop.run_until_complete(asyncio.wait_for(self._all(deeds), 20_000))
        for name in "ab":
            if self.controllers[name].life.dead:
                self.born(name)
            else:
                self._nobody_else_ended(name, wanted[name] & self.wants[name], ended_before)

    async def _all(self, deeds):
        await asyncio.gather(*(self._one(*deed) for deed in deeds))

    async def _one(self, name, deed, fate):
        kind, at = fate or ("", 0)
        life = self.controllers[name].life
        if kind == "killed":
            life.dies_at = life.steps + at
        try:
            async with asyncio.timeout(at if kind == "cancelled" else None):
                await deed()
        except (ConduitError, TimeoutError):
            pass
        except BaseException:  # of several tasks at once, maybe
            if not life.dead:
                raise
        finally:
            life.dies_at = None

    def _nobody_else_ended(self, name, keys, ended_before):
        for machine in self.cloud.machines:
            if machine.id in ended_before or machine.ended_at is None or machine.double or machine.lied:
                continue
            if machine.deployment != f"{name}'s" or machine.deployment not in keys:
                continue
            wanting = self.controllers[name]
            expired = machine.expires_at is not None and machine.ended_at >= machine.expires_at
            # Whoever comes next may go on with an end that somebody has begun.
            if not expired and machine.node_id not in wanting.records.given_up:
                assert machine.ended_by in (None, wanting.name), (
                    f"{machine.ended_by} ended a machine that {wanting.name} wants"
                )

    def up(self, name, number, replicas, life_s):
        key, controller = KEYS[name][number], self.controllers[name]
        terms = Terms(
            max_lifetime_s=life_s,
            deployment_cap_usd=DEPLOYMENT_CAP_USD,
            owner_cap_usd=OWNER_CAP_USD,
            nodes=replicas,
        )

        async def deed():
            self.wants[name].add(key)
            await controller.up(key, replicas, terms=terms)

        return deed

    def down(self, name, number):
        key, controller = KEYS[name][number], self.controllers[name]

        async def deed():
            self.wants[name].discard(key)
            await controller.down(key)

        return deed

    @rule(fault=st.sampled_from(FAULTS))
    def the_next_request_fails(self, fault):
        kind, what = fault
        self.cloud.faults[kind].append(what)

    @rule(name=who, number=which, replicas=st.integers(1, 3), life_s=lifetime, fate=fate)
    def one_brings_up(self, name, number, replicas, life_s, fate):
        self.run((name, self.up(name, number, replicas, life_s), fate))

    @rule(name=who, number=which, fate=fate)
    def one_takes_down(self, name, number, fate):
        self.run((name, self.down(name, number), fate))

    @rule(name=who, fate=fate)
    def one_reconciles(self, name, fate):
        self.run((name, self.controllers[name].reconcile, fate))

    @rule(numbers=st.tuples(which, which), replicas=st.integers(1, 3), fates=st.tuples(fate, fate))
    def both_bring_up(self, numbers, replicas, fates):
        deeds = [self.up(name, number, replicas, 1800.0) for name, number in zip("ab", numbers, strict=True)]
        self.run(*zip("ab", deeds, fates, strict=True))

    @rule(number=which, replicas=st.integers(1, 3), first=who, fates=st.tuples(fate, fate))
    def one_brings_up_while_the_other_takes_down(self, number, replicas, first, fates):
        second = "b" if first == "a" else "a"
        deeds = [self.up(first, number, replicas, 1800.0), self.down(second, number)]
        self.run(*zip((first, second), deeds, fates, strict=True))

    @rule(number=which, replicas=st.integers(1, 3), first=who, fates=st.tuples(fate, fate))
    def one_brings_up_while_the_other_reconciles(self, number, replicas, first, fates):
        second = "b" if first == "a" else "a"
        deeds = [self.up(first, number, replicas, None), self.controllers[second].reconcile]
        self.run(*zip((first, second), deeds, fates, strict=True))

    @rule(name=who)
    def one_is_killed(self, name):
        self.controllers[name].life.kill()
        self.born(name)

    @rule()
    def what_starts_becomes_ready(self):
        for record in self.store.nodes(live=True):
            if record.state is NodeState.STARTING:
                self.store.transition(record.id, NodeState.READY)

    @rule(number=st.integers(0, 9))
    def a_machine_dies(self, number):
        if self.ours:
            machine = self.ours[number % len(self.ours)]
            machine.ended_at, machine.ended_by = self.now, None

    @rule(seconds=st.sampled_from([1, 12, 100, 2000, 40_000]))
    def time_passes(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule()
    def the_records_are_lost(self):
        self.loop.run_until_complete(asyncio.sleep(SETTLE_S))
        self.store.close()
        self.store = Store("sqlite://")
        for name in "ab":
            self.controllers[name].life.kill()
            self.born(name)
        # Until they are found they are in their time of grace.
        self.heal()
        self.run(("a", self.controllers["a"].reconcile, None))

    @property
    def now(self):
        return 1_800_000_000.0 + self.loop.now

    def heal(self):
        for faults in self.cloud.faults.values():
            faults.clear()
        for machine in self.cloud.machines:
            machine.ignores = 0

    @invariant()
    def every_machine_has_a_live_row(self):
        if not hasattr(self, "store"):
            return
        rows = {record.id for record in self.store.nodes(live=True)}
        loose = [m for m in self.ours if m.node_id not in rows and not m.lied]
        assert not loose, f"no live row knows {loose}"

    @invariant()
    def no_node_was_created_twice(self):
        if hasattr(self, "cloud"):
            made = [m.node_id for m in self.cloud.machines if not m.double]
            assert len(made) == len(set(made))

    @invariant()
    def no_budget_is_exceeded(self):
        if not hasattr(self, "store"):
            return
        total = 0.0
        for deployment in self.store.deployments():
            usd = sum(
                machine.billed_usd(self.now)
                for machine in self.cloud.machines
                if machine.deployment == deployment.key
                and machine.created_at >= deployment.created_at
                and not machine.double
                and not machine.lied
            )
            assert usd <= DEPLOYMENT_CAP_USD + A_CENT
            total += usd
        assert total <= OWNER_CAP_USD + A_CENT

    @invariant()
    def machines_of_others_are_never_touched(self):
        if hasattr(self, "others"):
            assert all(machine.ended_at is None for machine in self.others)

    def teardown(self):
        if not hasattr(self, "store"):
            return
        try:
            self.heal()
            for controller in self.controllers.values():
                controller.life.kill()
            self.loop.run_until_complete(asyncio.sleep(SETTLE_S))
            last = self.controller("last")
            done = self.loop.run_until_complete(last.reconcile())
            assert not done.errors
            ready = {r.id for r in self.store.nodes(live=True) if r.state is NodeState.READY}
            assert sorted(m.node_id for m in self.ours) == sorted(ready & {m.node_id for m in self.ours})
            assert {r.id for r in self.store.nodes(live=True)} == {m.node_id for m in self.ours}
            for deployment in self.store.deployments():
                self.loop.run_until_complete(last.down(deployment.key))
            assert self.ours == []
        finally:
            self.store.close()
            self.stack.close()
