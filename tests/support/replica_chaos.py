"""Fifty callers of an LMLite whose replicas are killed, frozen and slowed under them; and what became of each call.

Real gpu_server processes on the shipped model, decoded greedily: each question's right answer is known, for it was
asked before, alone. A call may fail, but only with a typed error and in its time; it is never answered wrongly or
twice, and a stream's pieces never repeat or leave out anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import psutil

from conduit import LMLite, ModelConfig, settings, store
from conduit.errors import ConduitError
from conduit.store import NodeState

FAULTS = ("kill", "freeze", "stutter", "cut")
CALLERS, REPLICAS = 50, 3
CHAOS_S = 6.0
DEADLINE_S = 15.0
_GRACE_S = 1.0  # between a deadline and its error, on a machine that is busy
_BACK_WITHIN_S = 30.0  # after that the wait for lost replicas is given up
_MESSAGES = (
    "I was charged twice for order A-1042",
    "The app crashes when I open the settings page",
    "How do I change the email address of my account",
    "Please cancel my subscription, this is urgent",
    "Where is my parcel with the number 77-120",
    "The invoice from March shows a wrong amount",
    "I cannot log in since the update",
    "Do you ship to Norway",
)


@dataclass
class Ticket:
    category: Literal["billing", "bug", "account", "other"]
    urgent: bool


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    faults: list[str] = field(default_factory=list)
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    late: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    answered: int = 0
    calls: int = 0
    back_s: list[float] = field(default_factory=list)
    slowest_s: float = 0.0
    replaced: int = 0
    took_s: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every call ended as it must, and none twice."""
        ended = self.right + sum(self.errors.values())
        return (
            not (self.wrong or self.untyped or self.late)
            and ended == self.calls
            and self.right == self.answered
        )


async def ask_typed(lm: LMLite, message: str) -> str:
    return repr(await lm.acall(input=message, output=Ticket, timeout_s=DEADLINE_S))


async def ask_streamed(lm: LMLite, message: str) -> str:
    call = {"messages": [{"role": "user", "content": message}], "max_tokens": 40, "timeout_s": DEADLINE_S}
    return "".join([piece async for piece in lm.astream(**call)])


Ask = Callable[[LMLite, str], Awaitable[str]]
_FORMS: tuple[Ask, ...] = (ask_typed, ask_streamed)


async def run_seed(seed: int, *, faults: int = 3) -> Outcome:
    """One deployment, some faults, and the calls beside them."""
    began = time.monotonic()
    config = ModelConfig("conduit/tiny", max_model_len=512, max_model_concurrency=16)
    outcome = Outcome(seed)
    async with LMLite(config, replicas=REPLICAS, idle_timeout=120) as lm:
        rights = {(ask, message): await ask(lm, message) for ask in _FORMS for message in _MESSAGES}
        until = time.monotonic() + CHAOS_S
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                draw = random.Random(f"{seed}/{number}")
                group.create_task(_caller(lm, rights, draw, until, outcome))
            await _break(lm, random.Random(seed), faults, outcome)
        outcome.replaced = (await lm.ahealth()).replaced
        # Once more at rest: whoever answers now has to answer rightly.
        for ask in _FORMS:
            if await ask(lm, _MESSAGES[0]) != rights[ask, _MESSAGES[0]]:
                outcome.wrong.append("after the faults")
    outcome.took_s = time.monotonic() - began
    return outcome


async def _caller(
    lm: LMLite, rights: dict[tuple[Ask, str], str], draw: random.Random, until: float, outcome: Outcome
) -> None:
    while time.monotonic() < until:
        ask, message = draw.choice(_FORMS), draw.choice(_MESSAGES)
        outcome.calls += 1
        began = time.monotonic()
        try:
            said = await ask(lm, message)
        except ConduitError as error:
            outcome.errors[error.code] += 1
        except Exception as error:
            outcome.untyped.append(f"{type(error).__name__}: {error}")
        else:
            outcome.answered += 1
            if said == rights[ask, message]:
                outcome.right += 1
            else:
                outcome.wrong.append(f"{ask.__name__}({message!r}) gave {said[:80]!r}")
        took_s = time.monotonic() - began
        outcome.slowest_s = max(outcome.slowest_s, took_s)
        outcome.late += took_s > DEADLINE_S + _GRACE_S


async def _break(lm: LMLite, draw: random.Random, faults: int, outcome: Outcome) -> None:
    moments = sorted(draw.uniform(0.5, CHAOS_S * 0.6) for _ in range(faults))
    began, watches, hit = time.monotonic(), [], set[int]()
    for moment in moments:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        fault, unhurt = draw.choice(FAULTS), [pid for pid in _pids() if pid not in hit]
        if not unhurt:
            continue
        pid = draw.choice(unhurt)  # not one that was hit before: a stutter would wake a frozen one
        hit.add(pid)
        outcome.faults.append(fault)
        with contextlib.suppress(psutil.NoSuchProcess):
            await _do(fault, psutil.Process(pid), lm)
        if fault != "stutter":
            watches.append(asyncio.create_task(_back(lm, pid)))
    outcome.back_s = [await watch for watch in watches]


async def _do(fault: str, process: psutil.Process, lm: LMLite) -> None:
    match fault:
        case "kill":
            process.send_signal(signal.SIGKILL)
        case "freeze":
            process.send_signal(signal.SIGSTOP)
        case "cut":  # while an answer is on its way to somebody
            stream = lm.astream(messages=[{"role": "user", "content": "Hi"}], max_tokens=200)
            await anext(stream, None)
            process.send_signal(signal.SIGKILL)
            await stream.aclose()
        case "stutter":
            for _ in range(5):
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.2)
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.1)


async def _back(lm: LMLite, lost: int) -> float:
    """Seconds until as many replicas are ready as before, without the lost one."""
    began = time.monotonic()
    while time.monotonic() - began < _BACK_WITHIN_S:
        pids = await asyncio.to_thread(_pids)
        if lost not in pids:
            health = await lm.ahealth()
            if health.ready and all(replica.state == "ready" for replica in health.replicas):
                break
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def _pids() -> list[int]:
    """The processes of the replicas that serve, as recorded."""
    nodes = store.open_store(settings.load()).nodes(live=True)
    pids = [node.handle["pid"] for node in nodes if node.state is NodeState.READY]
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and os.getpid() != pid
    except psutil.Error:
        return False
