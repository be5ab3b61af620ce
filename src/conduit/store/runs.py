"""The run log's value types beside ``ModelCall``: block calls, the flow runs that they belong to, and their sums.

Times are Unix seconds. No database here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CallState(StrEnum):
    """How a block's call ended."""

    DONE = "done"
    FAILED = "failed"
    CACHED = "cached"  # its result was known, and nothing ran


@dataclass(frozen=True)
class BlockCall:
    """A row of ``block_call``: one call of a block in a flow, or of an item of a map, that has ended for good.

    Attributes:
        id: ``uuid4().hex``, made by the caller; model calls name it.
        block: As ``module:qualname``.
        map_id: The same for all items of one map.
        item: Index in the map.
        attempts: How often the block was run.
        inputs_hash: Hash of the arguments, to see that two calls were the same.
        error: The error's ``code``, or its class's name.
        error_text: The message, which may quote values: kept only where values are.
        inputs: JSON; kept only where ``CONDUIT_RUN_LOG_VALUES`` says so, as is ``output``.
    """

    id: str
    block: str
    started_at: float
    duration_s: float
    state: CallState
    flow_run_id: str | None = None
    task_run_id: str | None = None
    map_id: str | None = None
    item: int | None = None
    attempts: int = 1
    inputs_hash: str | None = None
    error: str | None = None
    error_text: str | None = None
    inputs: Any = None
    output: Any = None


@dataclass(frozen=True)
class FlowRun:
    """A row of ``flow_run``: a flow run that called blocks.

    Attributes:
        flow: The flow's name.
        name: The run's own.
        state: ``running``, and at the end Prefect's state type in small letters.
        url: Of the run in the Prefect UI.
    """

    id: str
    flow: str
    name: str
    started_at: float
    state: str = "running"
    ended_at: float | None = None
    url: str | None = None


@dataclass(frozen=True)
class BlockTotals:
    """What one block did in a flow run: its calls, and the model calls that were made for them.

    Attributes:
        block: As ``module:qualname``; of a direct model call the model's id.
        attempts: How often it was run.
        p50_s: Median of the calls' durations; None without a call.
    """

    block: str
    calls: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    attempts: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    repairs: int = 0


@dataclass(frozen=True)
class FlowTotals:
    """The sums over one flow run.

    Attributes:
        done: Block calls that ended so; together with ``failed`` and ``cached`` all of them.
        attempts: Requests that the model calls sent.
        cost_usd: Of the model calls; None when the cost of none is known.
        p50_s: Median latency of the model calls; None without one.
        repairs: Of the answers that were taken.
        started_at: None for a run that is not in the records; as is ``ended_at``, also while it runs.
        by_block: Each block, the one with the most calls first.
    """

    block_calls: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    model_calls: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    repairs: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    by_block: tuple[BlockTotals, ...] = ()
