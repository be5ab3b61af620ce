"""Many messages, read by the processes of a Dask cluster that share one deployment of replicas.

Each worker process takes batches of the map; whichever needs the model first starts its replicas, and the others
find them. What is read stands in a ledger, so that a run that was killed goes on where it ended.

``python flows/on_a_cluster.py [MESSAGES]`` runs it on two processes of this machine; with ``DASK_SCHEDULER``, an
address such as ``tcp://host:8786``, on a cluster that runs already.
"""

import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from prefect import flow
from prefect_dask import DaskTaskRunner

from conduit import LMLite, ModelConfig, block
from conduit.dataflow import ItemFailure, require_server


@dataclass
class Ticket:
    order_id: str
    amount: float | None
    topic: Literal["billing", "delivery", "return", "cancel"]
    urgent: bool


@dataclass
class Read:
    worker: int
    ticket: Ticket


lm = LMLite(models=[ModelConfig("conduit/tiny", max_model_concurrency=8)], idle_timeout=300.0, name="cluster")


@lm.block
def read_ticket(message: str) -> Ticket:
    """Read a support message."""


@block
def read(message: str) -> Read:
    """A message's ticket, and the process that read it."""
    return Read(os.getpid(), read_ticket(message))


def cluster() -> Any:
    """Two processes of this machine, or the cluster at ``DASK_SCHEDULER``."""
    if address := os.environ.get("DASK_SCHEDULER"):
        return DaskTaskRunner(address=address)
    return DaskTaskRunner(
        cluster_kwargs={
            "n_workers": 2,
            "threads_per_worker": 2,
            "memory_limit": "2GiB",  # of each worker; past it the worker is started anew
            "host": "127.0.0.1",
            "dashboard_address": None,  # else a page shows what runs
            "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},  # its metrics, at any free port
        }
    )


@flow(task_runner=cluster())
def on_a_cluster(messages: int = 200) -> dict[str, int]:
    """Reads the messages and counts their topics."""
    texts = [f"Order #{1000 + n}: please send {n % 90 + 1} EUR back, today." for n in range(messages)]
    found = read.map(texts, batch=8, errors="collect", ledger="on-a-cluster")
    read_well = [each for each in found if not isinstance(each, ItemFailure)]
    topics = Counter(each.ticket.topic for each in read_well)
    return {
        **topics,
        "failed": messages - len(read_well),
        "workers": len({each.worker for each in read_well}),
    }


# Workers import this file: without the guard each would run the flow again.
if __name__ == "__main__":
    require_server()
    print(on_a_cluster(*map(int, sys.argv[1:])))
