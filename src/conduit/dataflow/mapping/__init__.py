"""``map``: many items through one block, in batches, with the results in the items' order or on disk.

A map is asked for (``job``), cut (``cutting``), run (``items``, by ``windows`` of batches) and gathered. Outside a
flow the batches run here (``map_run``); in a flow the bridge makes a task of each. What the items ask of a model is
batch work: interactive calls go first.
"""

from __future__ import annotations

from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.items import Recorder, run_batch, run_batch_async
from conduit.dataflow.mapping.job import BATCH, Errors, ItemFailure, Job, job
from conduit.dataflow.mapping.map_run import mapped, mapped_async, run, run_async
from conduit.dataflow.mapping.outcome import Outcome, Results
from conduit.dataflow.mapping.stored import Counts, StoredResults

__all__ = [
    "BATCH",
    "Batch",
    "Counts",
    "Errors",
    "ItemFailure",
    "Job",
    "Outcome",
    "Recorder",
    "Results",
    "StoredResults",
    "job",
    "mapped",
    "mapped_async",
    "run",
    "run_async",
    "run_batch",
    "run_batch_async",
]
