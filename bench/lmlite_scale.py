"""Requests a second through an LMLite, with 1 to 500 callers at a time: its calls, and its one address.

Two stand-in replicas (``_stand_in_replica``) answer at once, so all that is measured is the way to them. Callers of
the address are processes of their own (``_load``). Each asks once before the clock starts, so that connections are
open: what is measured are callers that go on asking. In the same run, in turn with it, the same callers ask
sglang-router (written in Rust, all cores) before the same replicas, and the replicas directly:

- not streamed, the address answers at least 0.25 of the requests a second that the router does;
- streamed, it passes on at least 0.6 of the events a second that come from the replicas directly;
- 500 callers get at least 0.9 of what 100 get, of calls and of requests; what those lose who ask the replicas
  directly is printed beside it, since all processes share this machine's cores and caches;
- the process that holds both grows by less than 64 MiB from its first hundred callers to its last five hundred.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import httpx
import psutil
from _load import Got, Load
from _peer_router import ROUTER, router_python
from _report import report
from _stand_in_replica import MODEL
from pydantic import SecretStr

from conduit import LMLite
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.pool import Pool, Replica

REPLICAS = 2
CALLERS = (1, 10, 100, 500)
COMPARED_CALLERS, MANY_CALLERS = 100, 500
SECONDS, ROUNDS = 2.0, 5
ROUNDS_OF_CALLS = 21  # they swing most: two threads share one interpreter
WHOLE_BAR, STREAM_BAR, KEPT_BAR, GROWTH_BAR_MIB = 0.25, 0.6, 0.9, 64.0
HERE = Path(__file__).parent
TOKEN = "stand-in-token"


@contextmanager
def process(*command: str, output: int | None = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(command, stdout=output, text=True)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)
        if started.stdout is not None:
            started.stdout.close()


def load(ports: list[int], token: str, callers: int, *, stream: bool) -> list[Got]:
    """Asks from as many processes as there are ports, and as there are replicas at least, together for a while."""
    targets = (ports * REPLICAS)[: max(1, min(REPLICAS, callers))]
    shares = [callers // len(targets) + (number < callers % len(targets)) for number in range(len(targets))]
    loads = [
        Load(port, token, MODEL, share, SECONDS, stream) for port, share in zip(targets, shares, strict=True)
    ]
    asking = [
        subprocess.Popen(
            [sys.executable, str(HERE / "_load.py"), json.dumps(asdict(one))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in loads
    ]
    return [Got(**json.loads(one.communicate()[0])) for one in asking]


def answers_per_s(got: list[Got]) -> float:
    return sum(one.answers / one.seconds for one in got)


def events_per_s(got: list[Got]) -> float:
    return sum(one.events / one.seconds for one in got)


def wrong(got: list[Got]) -> int:
    return sum(one.bad + one.lost for one in got)


@contextmanager
def router(ports: list[int]) -> Iterator[int]:
    """sglang-router before the replicas; its port."""
    port = free_port()
    workers = [f"http://127.0.0.1:{each}" for each in ports]
    with process(
        str(router_python()),
        *("-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port)),
        *("--prometheus-port", str(free_port()), "--policy", "round_robin", "--log-level", "error"),
        *("--worker-urls", *workers),
        output=subprocess.DEVNULL,
    ) as started:
        deadline = time.monotonic() + 60
        hello = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
        while True:
            try:
                asked = httpx.post(
                    f"http://127.0.0.1:{port}/v1/chat/completions",
                    json=hello,
                    timeout=2,
                )
                if asked.status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            if started.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{ROUTER} did not come up.")
            time.sleep(0.1)
        yield port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resource_on(ports: list[int]) -> LMLite:
    """An LMLite whose deployment is the stand-ins: all of its way is real but the start of replicas."""
    lm = LMLite(MODEL)
    deployment = portal().call(lm._caller.deployment)  # noqa: SLF001 - nothing public starts on given servers
    replicas = [Replica(f"n{port}", f"http://127.0.0.1:{port}", SecretStr(TOKEN)) for port in ports]
    deployment.pool = Pool(replicas)
    return lm


def calls_per_s(lm: LMLite, callers: int) -> float:
    """Typed nothing, text only: as many coroutines as callers, each asking again as soon as it is answered."""
    messages = [{"role": "user", "content": "Where is my order? " * 12}]

    async def ask() -> None:
        assert (await lm.acall(messages=messages, max_tokens=16)).startswith("word")

    async def run() -> float:
        await asyncio.gather(*(ask() for _ in range(callers)))  # opens the connections
        done, begun = 0, time.monotonic()

        async def caller() -> None:
            nonlocal done
            while time.monotonic() - begun < SECONDS:
                await ask()
                done += 1

        await asyncio.gather(*(caller() for _ in range(callers)))
        return done / (time.monotonic() - begun)

    return asyncio.run(run())


def rss_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


def in_turn(rounds: int, measures: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each measure in turn, so many times: what else the machine does falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def ratio(found: dict[str, list[float]], one: str, other: str) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


def middle(found: dict[str, list[float]], name: str) -> int:
    return round(statistics.median(found[name]))


def main() -> None:
    folder = tempfile.mkdtemp(prefix="conduit-bench-")
    os.environ["CONDUIT_DATA_DIR"] = os.environ["CONDUIT_PROJECT"] = folder
    failed = 0

    def measured(ports: list[int], token: str, callers: int, *, stream: bool) -> float:
        nonlocal failed
        got = load(ports, token, callers, stream=stream)
        failed += wrong(got)
        return events_per_s(got) if stream else answers_per_s(got)

    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stand_ins = [
            stack.enter_context(process(sys.executable, str(HERE / "_stand_in_replica.py"), "0"))
            for _ in range(REPLICAS)
        ]
        ports = [int(each.stdout.readline()) for each in stand_ins]
        lm = resource_on(ports)
        front = stack.enter_context(lm.serve())
        own, token = [int(front.url.rsplit(":", 1)[1].removesuffix("/v1"))], front.token.get_secret_value()

        calls = {n: lambda n=n: calls_per_s(lm, n) for n in CALLERS}
        requests = {n: lambda n=n: measured(own, token, n, stream=False) for n in CALLERS}
        calls[100](), requests[100]()
        before_mib = rss_mib()
        of_calls = in_turn(ROUNDS_OF_CALLS, {str(n): calls[n] for n in CALLERS})
        of_requests = in_turn(ROUNDS, {str(n): requests[n] for n in CALLERS})
        growth_mib = rss_mib() - before_mib
        for n in CALLERS:
            calls_s, requests_s = middle(of_calls, str(n)), middle(of_requests, str(n))
            print(f"{n:4} callers: {calls_s:6} calls/s, {requests_s:6} requests/s by lm.serve")

        with router(ports) as peer:
            whole = in_turn(
                ROUNDS,
                {
                    "front": lambda: measured(own, token, COMPARED_CALLERS, stream=False),
                    "front, many": lambda: measured(own, token, MANY_CALLERS, stream=False),
                    "router": lambda: measured([peer], token, COMPARED_CALLERS, stream=False),
                    "direct": lambda: measured(ports, TOKEN, COMPARED_CALLERS, stream=False),
                    "direct, many": lambda: measured(ports, TOKEN, MANY_CALLERS, stream=False),
                },
            )
        streams = in_turn(
            ROUNDS,
            {
                "front": lambda: measured(own, token, COMPARED_CALLERS, stream=True),
                "direct": lambda: measured(ports, TOKEN, COMPARED_CALLERS, stream=True),
            },
        )
    stream_ratio = ratio(streams, "front", "direct")
    kept = {
        "calls": ratio(of_calls, "500", "100"),
        "requests": ratio(whole, "front, many", "front"),
        "directly": ratio(whole, "direct, many", "direct"),
    }
    print(f"not streamed: lm.serve {middle(whole, 'front')}, {ROUTER} {middle(whole, 'router')} requests/s")
    print("500 callers keep, of the rate of 100: " + ", ".join(f"{n} {v:.2f}" for n, v in kept.items()))
    print(f"streamed: lm.serve {middle(streams, 'front')}, directly {middle(streams, 'direct')} events/s")
    ok = (
        stream_ratio >= STREAM_BAR
        and min(kept["calls"], kept["requests"]) >= KEPT_BAR
        and growth_mib < GROWTH_BAR_MIB
        and not failed
    )
    report(
        "lmlite_scale",
        ratio(whole, "front", "router"),
        WHOLE_BAR,
        "higher",
        ok=ok,
        stream_ratio=round(stream_ratio, 3),
        kept_of_100_by_500={name: round(value, 3) for name, value in kept.items()},
        growth_mib=round(growth_mib, 1),
        failed=failed,
        calls_per_s={name: middle(of_calls, name) for name in of_calls},
        requests_per_s={name: middle(of_requests, name) for name in of_requests},
    )


if __name__ == "__main__":
    main()
