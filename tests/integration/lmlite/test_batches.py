"""Batches on real replicas: what goes wrong with one row or one replica ends no batch that collects."""

import os
import re
import signal
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from conduit.errors import ConduitError

ROWS = [{"messages": [{"role": "user", "content": f"row {i}"}], "max_tokens": 200} for i in range(24)]


def test_a_batch_outlives_a_replica_and_a_bad_row(deploy, processes):
    with deploy(replicas=2, concurrency=2) as lm:
        right = lm.batch(ROWS)
        victim = processes()[0]
        rows = [*ROWS[:12], {"messages": [{"role": "user", "content": "x " * 5000}]}, *ROWS[12:]]
        begun = threading.Event()

        def kill():
            begun.wait(20)
            os.kill(victim.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        results = {}
        for place, result in lm.batch_as_completed(rows, errors="collect"):
            results[place] = result
            begun.set()
        killer.join(20)
        assert isinstance(results.pop(12), ConduitError)
        assert [results[place] for place in sorted(results)] == right


def test_the_server_knows_rows_for_batch_work_and_calls_for_interactive_ones(deploy, until):
    def waiting(endpoint):
        request = urllib.request.Request(
            f"{endpoint.url.removesuffix('/v1')}/metrics",
            headers={"authorization": f"Bearer {endpoint.token.get_secret_value()}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read().decode()
        found = re.findall(r'^gpu_server_queue_depth{class="(\w+)",model=".*"} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    long = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3000}
    with deploy(concurrency=1) as lm, ThreadPoolExecutor(3) as threads:
        [endpoint] = lm.endpoints
        stream = lm.stream(**long)
        next(stream)  # it has the only place
        batch = threads.submit(lm.batch, [{**long, "max_tokens": 2}] * 2)
        until(lambda: waiting(endpoint) == {"batch": 2, "interactive": 0})
        call = threads.submit(lm, **{**long, "max_tokens": 2})
        until(lambda: waiting(endpoint) == {"batch": 2, "interactive": 1})
        stream.close()
        assert len(batch.result(30)) == 2
        assert call.result(30) is not None
