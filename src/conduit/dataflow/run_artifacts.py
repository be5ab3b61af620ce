"""What Conduit leaves in Prefect's UI: a table of a flow run's totals."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.artifacts import TableArtifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.utilities.urls import url_for

from conduit.store import BlockTotals, FlowTotals

TOTALS_KEY = "conduit-totals"


async def put_totals(flow_run_id: UUID, totals: FlowTotals) -> None:
    """Adds the table of totals to a flow run; without a call there is none."""
    if not totals.by_block:
        return
    table = TableArtifact(table=[*map(_of_block, totals.by_block), _of_all(totals)])
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                type="table",
                key=TOTALS_KEY,
                flow_run_id=flow_run_id,
                description=_summary(flow_run_id, totals),
                data=await table.aformat(),
            )
        )


def _of_block(block: BlockTotals) -> dict[str, Any]:
    return _line(block.block, block.calls, block, block.p50_s, block.p95_s)


def _of_all(totals: FlowTotals) -> dict[str, Any]:
    return _line("all", totals.block_calls, totals, totals.p50_s, totals.p95_s)


def _line(
    name: str, calls: int, sums: BlockTotals | FlowTotals, p50_s: float | None, p95_s: float | None
) -> dict[str, Any]:
    return {
        "block": name,
        "calls": calls,
        "failed": sums.failed,
        "cache hits": sums.cached,
        "model calls": sums.model_calls,
        "tokens read": sums.prompt_tokens,
        "tokens written": sums.completion_tokens,
        "repairs": sums.repairs,
        "p50 ms": _ms(p50_s),
        "p95 ms": _ms(p95_s),
        "USD": None if sums.cost_usd is None else round(sums.cost_usd, 6),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _summary(flow_run_id: UUID, totals: FlowTotals) -> str:
    failed = f", **{totals.failed} failed**" if totals.failed else ""
    cost = "" if totals.cost_usd is None else f", {totals.cost_usd:.4f} USD"
    run = url_for("flow-run", flow_run_id)
    return (
        f"{totals.block_calls} calls{failed}, {totals.model_calls} of models with {totals.attempts} requests"
        f"{cost}. Times of a block are those of its calls, times of all are those of model calls.\n\n"
        f"`conduit runs show {flow_run_id}` has each call"
        + (f", [the run's page]({run}) the tasks." if run else ".")
    )
